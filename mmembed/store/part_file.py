"""A part file: its footer and its rows, checked against the contract before they are used."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.storage import Place, RemotePath
from mmembed.store.column_types import check_columns, vector_length
from mmembed.store.dataset_files import errors_folder, has_file, one_line
from mmembed.store.schema import Provenance

NEEDED = ("id", "path", "modality", "embedding")
ERROR_KEYS = ("path", "modality", "size", "mtime_ns")
ATTEMPTS, PAUSE_SECONDS = 4, 0.25
EMPTY_NUMBERS = 1 << 26  # missing vectors may take so many numbers, 256 MB of memory,
EMPTY_SHARE = 16  # or so many times those that are there
UNREADABLE = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
)


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
                table.validate(full=True)
            break
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            if attempt == 1 or not isinstance(part, RemotePath):
                raise StoreError(f"{part}: can't be read ({one_line(error)})") from None
            time.sleep(PAUSE_SECONDS)
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
    """What a part file says of itself, without its rows.

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
    """Return what a part file says of itself.

    Raises:
        StoreError: not Parquet, not written by mmembed, or its numbers contradict each other.
    """
    try:
        with open_part(part) as file:
            schema, metadata = file.schema_arrow, file.metadata
            rows, numbers = metadata.num_rows, _vector_numbers(metadata)
            names, said = schema.names, dict(schema.metadata or {})
    except UNREADABLE as error:
        raise StoreError(
            f"{part}: not a Parquet file that can be read ({one_line(error)})"
        ) from None
    if b"mmembed" not in said or any(name not in names for name in NEEDED):
        raise StoreError(f"{part}: not an embedding dataset of mmembed (it has {names})")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise StoreError(f"{part}: has {one_line(twice[0])} twice among its columns")
    provenance = Provenance.from_json(said[b"mmembed"], str(part))
    kind = schema.field("embedding").type
    length = vector_length(kind)
    if length is None:
        raise StoreError(f"{part}: column embedding holds {one_line(kind)}, not vectors of floats")
    if length not in (-1, provenance.dim):
        raise StoreError(
            f"{part}: column embedding holds vectors of {length} numbers, but its metadata say "
            f"{provenance.dim}"
        )
    if max(rows, 1) * provenance.dim > max(EMPTY_NUMBERS, EMPTY_SHARE * numbers):
        raise StoreError(
            f"{part}: declares {rows:,} vectors of {provenance.dim:,} numbers, but holds only "
            f"{numbers:,} numbers"
        )
    return Footer(part, schema, rows, provenance)


def _vector_numbers(metadata: pq.FileMetaData) -> int:
    """Return how many numbers the vectors of a file have together, as its footer says."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if min((group.num_rows for group in groups), default=0) < 0 or metadata.num_rows != sum(
        group.num_rows for group in groups
    ):
        raise ValueError("its row groups have other rows than it has")
    return sum(
        column.num_values
        for group in groups
        for column in map(group.column, range(group.num_columns))
        if column.path_in_schema.partition(".")[0] == "embedding"
    )
