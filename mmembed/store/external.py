"""Tables that other tools wrote: Parquet, CSV, TSV, JSONL and npy, read into Arrow.

The kind of a file is what its name ends in. What the columns mean is the caller's business.
"""

from __future__ import annotations

import codecs
import csv
import io
import shlex
from collections.abc import Callable, Collection, Mapping
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line, reason
from mmembed.paths import Place, RemotePath, place
from mmembed.store.json_lines import read_json_lines

Reader = Callable[[IO[bytes], Collection[str] | None], pa.Table]
VECTORS = "embedding"  # the one column of an array of vectors
ZIP_START = b"PK\x03\x04"
BLOCK, MOST_BLOCK = 1 << 20, (1 << 31) - 1  # bytes that CSV is read by


def read_table(path: str | Place, texts: Collection[str] | None = ()) -> pa.Table:
    """Read a table at a path or URL, all of it and as it is.

    An array of vectors (``.npy``, float ``(rows, dim)``) becomes one column ``embedding`` of
    lists of ``dim`` numbers. Two columns of one name stay two.

    Args:
        path: the file; its name ends in one of :data:`ENDINGS`, in either case.
        texts: columns of CSV and TSV that hold text, whatever it looks like: 007 is not 7. None
            for all columns, of JSONL too.

    Raises:
        StoreError: no such file, its name ends otherwise, or it can't be read.
    """
    path = place(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise StoreError(f"{path}: {way_out(path) or ENDS}")
    try:
        with path.open() if isinstance(path, RemotePath) else path.open("rb") as file:
            return reader(file, texts)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{path}: can't be read: {reason(error)}") from None


def _read_separated(delimiter: str) -> Reader:
    def read(file: IO[bytes], texts: Collection[str] | None) -> pa.Table:
        _check_encoding(file)
        names = _first_row(file, delimiter) if texts is None else texts
        size = file.seek(0, io.SEEK_END)
        block = BLOCK
        while True:
            file.seek(0)
            try:
                return pyarrow.csv.read_csv(
                    pa.PythonFile(_Open(file), "r"),  # Arrow closes what it is given
                    read_options=pyarrow.csv.ReadOptions(block_size=min(block, MOST_BLOCK)),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=delimiter, newlines_in_values=True
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types={name: pa.string() for name in names}
                    ),
                )
            except pa.ArrowInvalid as error:
                # a row longer than a block; Arrow says no more of it than this word
                if "straddl" not in str(error) or block >= min(size, MOST_BLOCK):
                    raise
                block *= 8

    return read


def _check_encoding(file: IO[bytes]) -> None:
    """Refuse what spreadsheets write that is no CSV in UTF-8, whatever its name says."""
    start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("is UTF-16. Save it as CSV UTF-8")
    if start == ZIP_START:
        raise ValueError("is a spreadsheet or zip, whatever its name says. Save it as CSV UTF-8")


def _first_row(file: IO[bytes], delimiter: str) -> list[str]:
    file.seek(0)
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        return next(csv.reader(text, delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(f"its first row can't be read: {error}") from None
    finally:
        text.detach()


class _Open:
    """A file that stays open when it is closed."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        self.readable, self.seekable, self.writable = file.readable, file.seekable, file.writable

    def close(self) -> None:
        pass


def _read_json(file: IO[bytes], texts: Collection[str] | None) -> pa.Table:
    return read_json_lines(file) if texts is None else pyarrow.json.read_json(file)


def _read_array(file: IO[bytes], _: Collection[str] | None) -> pa.Table:
    vectors = np.load(file, allow_pickle=False)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2:
        raise ValueError(f"holds no array (rows, dim) but {one_line(np.shape(vectors))}")
    if vectors.dtype.kind != "f" or vectors.dtype.itemsize > 8:
        raise ValueError(f"holds {one_line(vectors.dtype)}, no floats")
    native = vectors.astype(vectors.dtype.newbyteorder("="), copy=False)
    flat = pa.array(np.ascontiguousarray(native).ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({VECTORS: lists})


READERS: Mapping[str, Reader] = {
    ".parquet": lambda file, _: pq.read_table(file),
    ".csv": _read_separated(","),
    ".tsv": _read_separated("\t"),
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".npy": _read_array,
}
ENDINGS = tuple(READERS)
ENDS = f"a table ends in {', '.join(ENDINGS)}"
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
ARROW = (".feather", ".arrow", ".ipc")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def way_out(path: Place) -> str:
    """Return what a file of such a name is, and how to make a table of it; empty if unknown."""
    name, ending = path.name, path.suffix.lower()
    stem = name[: len(name) - len(ending)]
    csv_name, parquet_name = f"{stem}.csv", f"{stem}.parquet"
    if ending in SPREADSHEETS:
        return (
            "is a spreadsheet. Save it as CSV UTF-8 there, or by pandas.read_excel("
            f"{name!r}, dtype=str, keep_default_na=False).to_csv({csv_name!r}, index=False)."
        )
    if ending in ARROW:
        return (
            "is an Arrow file. Make Parquet of it by "
            f"pandas.read_feather({name!r}).to_parquet({parquet_name!r})."
        )
    if ending == ".json":
        command = f"jq -c '.[]' {shlex.quote(name)} > {shlex.quote(f'{stem}.jsonl')}"
        return (
            "is JSON. If it has an object a line, let its name end in .jsonl; if it is one list, "
            f"make lines of it by {command}"
        )
    return "is compressed. Unpack it." if ending in PACKED else ""
