"""Codes of several labels an item, in one array."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NO_CODE = -1


@dataclass(frozen=True)
class LabelCodes:
    """Codes of the labels of items: those of item i are ``codes[starts[i]:starts[i + 1]]``.

    Attributes:
        starts: int ``(items + 1,)``, ascending from 0.
        codes: int ``(labels of all items,)``, at least 0.
    """

    starts: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(
        cls, labels: Iterable[Collection[str] | None], codes: Mapping[str, int] | None = None
    ) -> LabelCodes:
        """Return the codes of the labels of each item; of none for None.

        Args:
            labels: of each item, different from each other.
            codes: of each label; those that are not in it are left out. None to count them as
                they come.
        """
        given: dict[str, int] = {}
        flat: list[int] = []
        starts = [0]
        for each in labels:
            for label in each or ():
                code = given.setdefault(label, len(given)) if codes is None else codes.get(label)
                if code is not None:
                    flat.append(code)
            starts.append(len(flat))
        return cls(np.array(starts, int), np.array(flat, int))

    @classmethod
    def of_padded(cls, padded: np.ndarray) -> LabelCodes:
        """Return the codes of rows ``(items, most)`` in which :data:`NO_CODE` stands for none."""
        known = padded >= 0
        return cls(np.append(0, known.sum(1).cumsum()), padded[known])

    @classmethod
    def joined(cls, parts: Sequence[LabelCodes]) -> LabelCodes:
        """Return the codes of the items of several parts, one part behind the other."""
        counts = np.concatenate([part.counts for part in parts])
        return cls(np.append(0, counts.cumsum()), np.concatenate([part.codes for part in parts]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> np.ndarray:
        """The number of labels of each item ``(items,)``."""
        return np.diff(self.starts)

    @property
    def items(self) -> np.ndarray:
        """The item of each code ``(labels of all items,)``."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, index: np.ndarray) -> LabelCodes:
        """Return those of some items, by mask or by index."""
        index = np.flatnonzero(index) if index.dtype == bool else index
        counts = self.counts[index]
        starts = np.append(0, counts.cumsum())
        shift = np.repeat(self.starts[index] - starts[:-1], counts)
        return LabelCodes(starts, self.codes[np.arange(starts[-1]) + shift])

    def padded(self) -> np.ndarray:
        """Return the codes as rows ``(items, most)``, at least one column wide, ends filled up."""
        counts = self.counts
        rows = np.full((len(self), max(1, int(counts.max(initial=0)))), NO_CODE)
        rows[np.arange(rows.shape[1]) < counts[:, None]] = self.codes
        return rows
