"""Rows whose vectors can't be compared, and the items that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmembed.store.vectors import MISSING, OTHER_LENGTH, SHORTEST

NOT_FINITE, ZERO = OTHER_LENGTH + 1, OTHER_LENGTH + 2
KINDS = (MISSING, OTHER_LENGTH, NOT_FINITE, ZERO)


@dataclass(frozen=True)
class UnusableRows:
    """Rows of a table that have no vector, or none with a direction.

    Attributes:
        item: int ``(rows,)``, index of the item of each.
        kind: uint8 ``(rows,)``, one of :data:`KINDS`.
        segment: int ``(rows,)``, its segment index; -1 if it has none.
        rows: int ``(rows,)``, how many rows its item has.
        usable: int ``(rows,)``, how many of these are usable.
    """

    item: np.ndarray
    kind: np.ndarray
    segment: np.ndarray
    rows: np.ndarray
    usable: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @classmethod
    def none(cls) -> UnusableRows:
        """Return no rows."""
        return cls(*(np.empty(0, int) for _ in range(5)))

    @classmethod
    def of(cls, kinds: np.ndarray, starts: np.ndarray, segment: np.ndarray) -> UnusableRows:
        """Return the unusable ones of rows that stand together by item.

        Args:
            kinds: uint8 ``(rows,)``, 0 for usable.
            starts: int ``(items,)``, ascending: the first row of each item.
            segment: int ``(rows,)``, the segment index of each; -1 for none.
        """
        which = np.flatnonzero(kinds)
        if not len(which):
            return cls.none()
        item = np.searchsorted(starts, which, side="right") - 1
        rows = np.diff(np.append(starts, len(kinds)))[item]
        usable = usable_of_each(kinds, starts)[item]
        return cls(item, kinds[which], segment[which], rows, usable)

    def select(self, index: np.ndarray, items: int) -> UnusableRows:
        """Return those of some items, by their places in ``index``; of ``items`` in all."""
        if not len(self):
            return self
        place = np.full(items, -1)
        place[index] = np.arange(len(index))
        kept = place[self.item] >= 0
        fields = (self.kind, self.segment, self.rows, self.usable)
        return UnusableRows(place[self.item[kept]], *(field[kept] for field in fields))


def usable_of_each(kinds: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the number of usable rows of each item ``(items,)``."""
    return np.add.reduceat(kinds == 0, starts, dtype=int)


def kinds_of(lack: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return of each row ``(rows,)`` 0 if its vector can be compared, else one of :data:`KINDS`.

    Args:
        lack: as of :class:`~mmembed.store.vectors.VectorBlock`.
        lengths: float ``(rows,)``, of the vectors.
    """
    kinds = lack.copy()
    kinds[(lack == 0) & ~np.isfinite(lengths)] = NOT_FINITE
    kinds[(lack == 0) & (lengths < SHORTEST)] = ZERO
    return kinds
