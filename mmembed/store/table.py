"""Reading an embedding dataset; needs neither the space nor torch."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.storage import Place, RemotePath, place
from mmembed.store.schema import ERROR_SCHEMA, Provenance

COMPACTION = "_compaction.json"
NEEDED = ("id", "path", "modality", "embedding")
ATTEMPTS, PAUSE_SECONDS = 4, 0.25


class StoredRows:
    """A dataset on disk or at a URL, its vectors not read yet.

    Attributes:
        rows: every column but the vectors, as an Arrow table.
        provenance: what made the rows.
    """

    def __init__(self, path: str | Place, columns: list[str] | None = None) -> None:
        self._parts = part_files(path)
        if not self._parts:
            raise StoreError(f"{path}: no part-*.parquet in it. Run `mmembed embed` first.")
        footers = [read_footer(part) for part in self._parts]
        self.provenance = footers[0].provenance
        for footer in footers[1:]:
            first = str(footers[0].part)
            check_same_space(self.provenance, first, footer.provenance, str(footer.part))
        wanted = None if columns is None else [*dict.fromkeys((*NEEDED, *columns))]
        tables = [_read(part, wanted, leave_out=("embedding",)) for part in self._parts]
        self.rows = pa.concat_tables(tables, promote_options="permissive")
        self._counts = [len(table) for table in tables]

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the vectors float32 ``(some rows, dim)``, a part at a time, in order.

        Raises:
            StoreError: a part can't be read, or was written again meanwhile.
        """
        for part, count in zip(self._parts, self._counts, strict=True):
            column = _read(part, ["embedding"])["embedding"]
            if len(column) != count:
                raise StoreError(f"{part}: was written again while it was being read. Run again.")
            yield _vectors(column, self.provenance.dim)


class EmbeddingTable:
    """Rows and vectors of one space.

    Attributes:
        rows: every column but the vectors, as an Arrow table.
        vectors: float32 ``(rows, dim)``.
        provenance: what made the rows.
    """

    def __init__(self, rows: pa.Table, vectors: np.ndarray, provenance: Provenance) -> None:
        self.rows, self.vectors, self.provenance = rows, vectors, provenance

    @classmethod
    def open(cls, path: str | Place, columns: list[str] | None = None) -> EmbeddingTable:
        """Read a dataset folder or one part file.

        Args:
            path: the folder or URL that ``mmembed embed`` wrote, or a Parquet file of it.
            columns: carried columns to read; None for all.

        Raises:
            StoreError: nothing there, not an embedding dataset, or parts made by different
                spaces.
        """
        stored = StoredRows(path, columns)
        vectors = np.empty((len(stored), stored.provenance.dim), np.float32)
        start = 0
        for block in stored.blocks():
            vectors[start : start + len(block)] = block
            start += len(block)
        return cls(stored.rows, vectors, stored.provenance)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all vectors, as :meth:`StoredRows.blocks` does."""
        yield self.vectors

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without the vectors."""
        return self.rows.column_names

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the space that made the vectors."""
        return self.provenance.fingerprint

    @property
    def source(self) -> str | None:
        """The folder that ``path`` is relative to, or the manifest, whose folder it is then."""
        return self.provenance.source or None

    def column(self, name: str) -> np.ndarray:
        """Return a column as an array ``(rows,)`` (objects with None for missing strings).

        Raises:
            StoreError: there is no such column.
        """
        if name not in self.columns:
            raise StoreError(f"no column {name}; there are {', '.join(self.columns)}")
        return self.rows[name].to_numpy()

    def select(self, mask: np.ndarray) -> EmbeddingTable:
        """Return the rows where ``mask`` (bool ``(rows,)``, or indices) holds."""
        index = np.flatnonzero(mask) if mask.dtype == bool else mask
        return EmbeddingTable(self.rows.take(pa.array(index)), self.vectors[index], self.provenance)


def part_files(path: str | Place) -> list[Place]:
    """Return the part files of a dataset in order of their names.

    Raises:
        StoreError: no such file or folder.
    """
    path = place(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise StoreError(f"{path}: no such file or folder")
    replaced = replaced_parts(path)
    found: list[Place] = [p for p in path.glob("part-*.parquet") if p.name not in replaced]
    return sorted(found, key=lambda part: part.name)


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
    part: Place, columns: list[str] | None = None, leave_out: Collection[str] = ()
) -> pa.Table:
    """Return the rows of a Parquet file, on disk or at a URL.

    At a URL another run may replace the file between two requests, so it is tried again.

    Args:
        part: the file.
        columns: those to read; None for all.
        leave_out: those of them not to read.

    Raises:
        FileNotFoundError: there is none.
        pyarrow.ArrowException: it is none.
    """
    for attempt in range(ATTEMPTS, 0, -1):
        try:
            with open_part(part) as file:
                wanted = columns or file.schema_arrow.names
                return file.read(columns=[name for name in wanted if name not in leave_out])
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError):
            if attempt == 1 or not isinstance(part, RemotePath):
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError


def replaced_parts(folder: Place) -> set[str]:
    """Return the names of parts that a merged one replaces, while they are being removed."""
    try:
        note = json.loads((folder / COMPACTION).read_text("utf-8"))
    except FileNotFoundError:
        return set()
    return set(note["replaced"]) if (folder / note["merged"]).exists() else set()


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
        StoreError: not Parquet, or not written by mmembed.
    """
    try:
        with open_part(part) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise StoreError(f"{part}: not a Parquet file that can be read ({first})") from None
    metadata = schema.metadata or {}
    missing = [name for name in NEEDED if name not in schema.names]
    if b"mmembed" not in metadata or missing:
        raise StoreError(f"{part}: not an embedding dataset of mmembed (it has {schema.names})")
    provenance = Provenance.from_json(metadata[b"mmembed"], str(part))
    return Footer(part, schema, rows, provenance)


def check_same_space(first: Provenance, first_path: str, other: Provenance, path: str) -> None:
    """Refuse to mix vectors of different spaces.

    Raises:
        StoreError: the fingerprints differ.
    """
    if first.fingerprint != other.fingerprint:
        raise StoreError(
            f"{path}: made by space {other.space} ({other.fingerprint[:8]}), but {first_path} "
            f"by space {first.space} ({first.fingerprint[:8]}); their vectors can't be mixed"
        )


def read_errors(path: str | Place) -> pa.Table:
    """Return the files of a dataset that could not be embedded, and why."""
    folder = place(path) / "_errors"
    parts = {p.name for p in part_files(path)}
    files: list[Place] = [p for p in folder.glob("part-*.parquet") if p.name in parts]
    found = [read_part(path) for path in sorted(files, key=lambda path: path.name)]
    return (
        pa.concat_tables(found, promote_options="default") if found else ERROR_SCHEMA.empty_table()
    )


def _read(part: Place, columns: list[str] | None, leave_out: Collection[str] = ()) -> pa.Table:
    try:
        return read_part(part, columns, leave_out)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{part}: can't be read: {error}") from None


def _vectors(column: pa.ChunkedArray, dim: int) -> np.ndarray:
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined = np.concatenate(flat) if flat else np.empty(0, np.float32)
    return joined.astype(np.float32, copy=False).reshape(-1, dim)
