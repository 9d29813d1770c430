"""Tables that other tools wrote: Parquet, CSV, TSV, JSONL and npy, read into Arrow.

The kind of a file is what its name ends in. What the columns mean is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line, reason
from mmembed.paths import Place, RemotePath, place

VECTORS = "embedding"  # the one column of an array of vectors


def read_table(path: str | Place, texts: Collection[str] = ()) -> pa.Table:
    """Read a table at a path or URL, all of it and as it is.

    An array of vectors (``.npy``, float ``(rows, dim)``) becomes one column ``embedding`` of
    lists of ``dim`` numbers. Two columns of one name stay two.

    Args:
        path: the file; its name ends in one of :data:`ENDINGS`, in either case.
        texts: columns of CSV and TSV that hold text, whatever it looks like: 007 is not 7.

    Raises:
        StoreError: no such file, its name ends otherwise, or it can't be read.
    """
    path = place(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise StoreError(f"{path}: a table ends in {', '.join(ENDINGS)}")
    try:
        with path.open() if isinstance(path, RemotePath) else path.open("rb") as file:
            return reader(file, texts)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{path}: can't be read: {reason(error)}") from None


def _read_separated(delimiter: str) -> Callable[[Any, Collection[str]], pa.Table]:
    def read(file: Any, texts: Collection[str]) -> pa.Table:
        return pyarrow.csv.read_csv(
            file,
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in texts}
            ),
        )

    return read


def _read_array(file: Any, _: Collection[str]) -> pa.Table:
    vectors = np.load(file, allow_pickle=False)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2:
        raise ValueError(f"holds no array (rows, dim) but {one_line(np.shape(vectors))}")
    if vectors.dtype.kind != "f" or vectors.dtype.itemsize > 8:
        raise ValueError(f"holds {one_line(vectors.dtype)}, no floats")
    native = vectors.astype(vectors.dtype.newbyteorder("="), copy=False)
    flat = pa.array(np.ascontiguousarray(native).ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({VECTORS: lists})


READERS: Mapping[str, Callable[[Any, Collection[str]], pa.Table]] = {
    ".parquet": lambda file, _: pq.read_table(file),
    ".csv": _read_separated(","),
    ".tsv": _read_separated("\t"),
    ".jsonl": lambda file, _: pyarrow.json.read_json(file),
    ".ndjson": lambda file, _: pyarrow.json.read_json(file),
    ".npy": _read_array,
}
ENDINGS = tuple(READERS)
