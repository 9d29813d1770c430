"""Reading an embedding dataset; needs neither the space nor torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.paths import Place
from mmembed.store.column_types import joined, with_fields, with_plain_types
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.part_file import NEEDED, read_part
from mmembed.store.provenance import DecodeRevisions, Provenance, check_same_space
from mmembed.store.vectors import VectorBlock, read_vectors, with_direction

WRITTEN_AGAIN = "was written again while it was being read. Run again."


class StoredRows:
    """A dataset on disk or at a URL, its vectors not read yet.

    Texts are read as ``string`` in whatever Arrow type they are stored. There is a column
    ``field``, which is the ``modality`` of rows that were written without.

    Attributes:
        name: where it is, for messages.
        rows: every column but the vectors, as an Arrow table.
        provenance: what made the rows.

    Raises:
        StoreError: nothing there, not an embedding dataset, or parts that do not go together, as
            made by different spaces or decoded by different revisions.
    """

    def __init__(self, path: str | Place, columns: list[str] | None = None) -> None:
        dataset = EmbeddingDataset.at(path)
        self.name = str(dataset)
        footers = dataset.footers()
        self._parts = [footer.part for footer in footers]
        self.provenance = footers[0].provenance
        for footer in footers[1:]:
            first = str(footers[0].part)
            check_same_space(self.provenance, first, footer.provenance, str(footer.part))
        wanted = None if columns is None else [*dict.fromkeys((*NEEDED, "field", *columns))]
        tables: list[pa.Table] = []
        revisions = DecodeRevisions()
        for footer in footers:
            table = _read(footer.part, wanted, leave_out=("embedding",))
            if len(table) != footer.rows:
                raise StoreError(f"{footer.part}: {WRITTEN_AGAIN}")
            tables.append(with_plain_types(table, str(footer.part)))
            modalities = tables[-1]["modality"].unique().to_pylist()
            revisions.check(footer.provenance, modalities, str(footer.part))
        self.rows = with_fields(joined(tables, list(map(str, self._parts))))
        self._counts = [len(table) for table in tables]

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[VectorBlock]:
        """Yield the vectors, a part at a time, in the order of the rows and one for each.

        Raises:
            StoreError: a part can't be read, or was written again meanwhile.
        """
        for part, count in zip(self._parts, self._counts, strict=True):
            column = _read(part, ["embedding"], needed=["embedding"])["embedding"]
            if len(column) != count:
                raise StoreError(f"{part}: {WRITTEN_AGAIN}")
            yield read_vectors(column, self.provenance.dim)


class EmbeddingTable:
    """Rows and vectors of one space.

    Args:
        rows: every column but the vectors.
        vectors: float32 ``(rows, dim)``.
        provenance: what made the rows.
        lack: uint8 ``(rows,)``, why a row has no vector, as of
            :class:`~mmembed.store.vectors.VectorBlock`; None if all have one.

    Attributes:
        rows: every column but the vectors, as an Arrow table.
        vectors: float32 ``(rows, dim)``; NaN where the stored vector is missing or of another
            length.
        provenance: what made the rows.
        name: where they are, for messages.

    Raises:
        StoreError: there is not a vector of ``provenance.dim`` numbers for each row.
    """

    name = "the table"

    def __init__(
        self,
        rows: pa.Table,
        vectors: np.ndarray,
        provenance: Provenance,
        lack: np.ndarray | None = None,
    ) -> None:
        if vectors.shape != (len(rows), provenance.dim):
            raise StoreError(
                f"{len(rows):,} rows of {provenance.dim} numbers can't have vectors {vectors.shape}"
            )
        self.rows, self.vectors, self.provenance = rows, vectors, provenance
        self._lack = np.zeros(len(rows), np.uint8) if lack is None else lack

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
        lack = np.zeros(len(stored), np.uint8)
        start = 0
        for block in stored.blocks():
            stop = start + len(block.vectors)
            vectors[start:stop], lack[start:stop] = block
            start = stop
        assert start == len(vectors)
        table = cls(stored.rows, vectors, stored.provenance, lack)
        table.name = stored.name
        return table

    def blocks(self) -> Iterator[VectorBlock]:
        """Yield all vectors, as :meth:`StoredRows.blocks` does."""
        yield VectorBlock(self.vectors, self._lack)

    @cached_property
    def unusable(self) -> int:
        """Rows whose vector can't be compared: missing, of another length, not finite or zero."""
        return int(np.count_nonzero(~with_direction(self.vectors)))

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
        rows, lack = self.rows.take(pa.array(index)), self._lack[index]
        return EmbeddingTable(rows, self.vectors[index], self.provenance, lack)


def read_errors(path: str | Place) -> pa.Table:
    """Return the files of a dataset that could not be embedded, and why.

    Raises:
        StoreError: no such dataset, or its errors can't be read.
    """
    return EmbeddingDataset.at(path).errors()


def _read(
    part: Place,
    columns: list[str] | None,
    leave_out: Collection[str] = (),
    needed: Collection[str] = (),
) -> pa.Table:
    try:
        return read_part(part, columns, leave_out, needed)
    except FileNotFoundError:
        raise StoreError(f"{part}: can't be read: it is gone") from None
