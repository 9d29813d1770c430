"""A part file: its encodings, and its footer and rows, checked before they are used."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line
from mmembed.paths import Place, RemotePath
from mmembed.store.column_types import check_columns, check_names, vector_length
from mmembed.store.dataset_files import errors_folder, has_file
from mmembed.store.provenance import Provenance
from mmembed.store.schema import MADE_BY

ROW_GROUP_ROWS = 25_000
VECTOR_LEAF = "embedding.list.element"
UNIQUE = frozenset({"id", "path", "size", "mtime_ns", "checksum", "embedding"})
NEEDED = ("id", "path", "modality", "embedding")
ERROR_KEYS = ("path", "modality", "size", "mtime_ns")
ATTEMPTS, PAUSE_SECONDS = 4, 0.25
FEW_NUMBERS = 1 << 26  # vectors of so many numbers, 256 MB of memory, may be in a file of any size;
MOST_RATIO = 1 << 8  # more are in one of a byte or more for so many numbers: ids take 16 a row
UNREADABLE = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table with the encodings of the contract: zstd, vectors split by byte.

    The Parquet leaf of the vectors is named ``embedding.list.element``, whatever the Arrow
    field's name is; settings for any other name have no effect.
    """
    options = parquet_options(table.schema)
    pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, **options)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return the encodings of the contract for the columns of ``schema``.

    The lowest level of zstd that codes bytes by how often they occur is 1: it makes those with
    the exponents of vectors a third as large, and passes over those of their mantissas. Level -1
    saves half of that in the same time, and -50 nearly nothing. Columns that seldom repeat a
    value have no dictionary: it would be as large as they are.
    """
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [name for name in schema.names if name not in UNIQUE],
        "use_byte_stream_split": [VECTOR_LEAF] if "embedding" in schema.names else False,
        "write_page_index": True,
        "write_statistics": [name for name in schema.names if name != "embedding"],
    }


@contextmanager
def open_part(part: Place) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, on disk or at a URL, while inside.

    Raises:
        FileNotFoundError: there is none, or it was removed meanwhile.
        pyarrow.ArrowException: it is none.
    """
    try:
        with pq.ParquetFile(part if isinstance(part, Path) else part.open()) as file:
            yield file
    except OSError as error:
        if isinstance(part, RemotePath) and not part.exists():
            raise FileNotFoundError(f"{part}: is gone") from error
        raise


def read_part(
    part: Place,
    columns: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    needed: Collection[str] = (),
) -> pa.Table:
    """Return the rows of a Parquet file, on disk or at a URL, with texts that are UTF-8.

    At a URL another run may replace the file between two requests, so it is tried again.

    Args:
        part: the file.
        columns: those to read; None for all.
        leave_out: those of them not to read.
        needed: columns of the contract that have to be there, of its types.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it is none that can be read, or has other columns.
    """
    for attempt in range(ATTEMPTS, 0, -1):
        try:
            with open_part(part) as file:
                wanted = columns or file.schema_arrow.names
                table = file.read(columns=[name for name in wanted if name not in leave_out])
                table.validate()
            break
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            if attempt == 1 or not isinstance(part, RemotePath):
                raise StoreError(f"{part}: can't be read ({one_line(error)})") from None
            time.sleep(PAUSE_SECONDS)
    check_names(table.column_names, str(part))
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except UNREADABLE as error:
            reason = f"column {one_line(name)}: {one_line(error)}"
            raise StoreError(f"{part}: can't be read ({reason})") from None
    check_columns(table, needed, str(part))
    return table


def read_row_groups(part: Place) -> Iterator[pa.Table]:
    """Yield the rows of a part, a row group at a time.

    Raises:
        StoreError: it can't be read.
    """
    try:
        with open_part(part) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number)
    except UNREADABLE as error:
        raise StoreError(f"{part}: can't be read ({one_line(error)})") from None


def read_part_errors(folder: Place, name: str) -> pa.Table | None:
    """Return the errors of the part of that name; None if it has none.

    Raises:
        StoreError: they can't be read, or are no regular file in a real folder.
    """
    path = errors_folder(folder) / name
    if isinstance(path, Path) and not has_file(path):
        return None
    try:
        table = read_part(path)
    except FileNotFoundError:
        return None
    check_columns(table, ERROR_KEYS, str(path), nullable=("modality",))
    return table


@dataclass(frozen=True)
class Footer:
    """The footer of a part file: its schema, its number of rows and its provenance.

    Attributes:
        part: the file.
        schema: its columns, with their metadata.
        rows: how many it has.
        provenance: what made it.
    """

    part: Place
    schema: pa.Schema
    rows: int
    provenance: Provenance


def read_footer(part: Place) -> Footer:
    """Return the footer of a part file.

    Raises:
        StoreError: not Parquet, not written by mmembed, or its numbers contradict each other.
    """
    try:
        with open_part(part) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            names, said = schema.names, dict(schema.metadata or {})
    except UNREADABLE as error:
        raise StoreError(
            f"{part}: not a Parquet file that can be read ({one_line(error)})"
        ) from None
    if MADE_BY not in said or any(name not in names for name in NEEDED):
        raise StoreError(f"{part}: not an embedding dataset of mmembed (it has {names})")
    check_names(names, str(part))
    provenance = Provenance.from_json(said[MADE_BY], str(part))
    kind = schema.field("embedding").type
    length = vector_length(kind)
    if length is None:
        raise StoreError(f"{part}: column embedding holds {one_line(kind)}, not vectors of floats")
    if length not in (-1, provenance.dim):
        raise StoreError(
            f"{part}: column embedding holds vectors of {length} numbers, but its metadata say "
            f"{provenance.dim}"
        )
    numbers = max(rows, 1) * provenance.dim
    if rows < 0 or (numbers > FEW_NUMBERS and numbers > MOST_RATIO * _size(part)):
        raise StoreError(
            f"{part}: is too small for the {rows:,} vectors of {provenance.dim:,} numbers that it "
            "declares"
        )
    return Footer(part, schema, rows, provenance)


def _size(part: Place) -> int:
    """Return how many bytes a part has."""
    try:
        return part.stat().st_size if isinstance(part, Path) else part.info().size or 0
    except UNREADABLE as error:
        raise StoreError(f"{part}: can't be reached ({one_line(error)})") from None
