"""Unit vectors as they are compared: rows of an array, some of them, or bags of several rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class VectorRows(Protocol):
    """Vectors ``(rows, dim)`` that are read a block at a time, such as an array."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """Return a block ``(some rows, dim)``, by a slice or by indices."""


@dataclass(frozen=True)
class SelectedRows:
    """Some rows of an array, gathered a block at a time, so that there is no copy of them all.

    Attributes:
        vectors: float32 ``(rows, dim)``.
        index: int ``(selected,)``.
    """

    vectors: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        return self.vectors[self.index[key]]


@dataclass(frozen=True)
class ProjectedRows:
    """Rows in fewer dimensions, with a last column by which products tell the nearest.

    The product of ``(a, 1)`` and ``(b, -b²/2)`` is most where ``a - b`` is shortest.

    Attributes:
        rows: float32 ``(rows, dim)``.
        projection: orthonormal ``(dim, few)``.
    """

    rows: VectorRows
    projection: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        narrow = self.rows[key] @ self.projection
        return np.column_stack([narrow, squared_lengths(narrow) / -2])


@dataclass(frozen=True)
class Bags:
    """Items of one or more unit vectors; two items score the best of all their pairs.

    Attributes:
        vectors: float32 ``(rows, dim)``, the rows of an item one after the other.
        starts: int ``(items,)``, ascending: the first row of each item.
    """

    vectors: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def single(self) -> bool:
        """Whether every item is one vector."""
        return len(self.starts) == len(self.vectors)

    @property
    def ends(self) -> np.ndarray:
        """The row after the last of each item ``(items,)``."""
        return np.append(self.starts, len(self.vectors))[1:]

    def select(self, index: np.ndarray) -> Bags:
        """Return some items, in the order of ``index``."""
        lengths = (self.ends - self.starts)[index]
        starts = np.append(0, lengths.cumsum())[:-1].astype(int)
        rows = np.repeat(self.starts[index] - starts, lengths) + np.arange(lengths.sum())
        return Bags(self.vectors[rows], starts)


Ranked = np.ndarray | Bags


def as_bags(items: Ranked) -> Bags:
    """Return vectors ``(items, dim)`` as bags of one each; bags as they are."""
    return items if isinstance(items, Bags) else Bags(items, np.arange(len(items)))


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length of each row ``(rows,)``, not finite where a vector is not.

    It makes no copy of the vectors.
    """
    with np.errstate(all="ignore"):
        return np.einsum("ij,ij->i", vectors, vectors)
