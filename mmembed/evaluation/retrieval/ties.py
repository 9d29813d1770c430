"""The ties that hold relevant items: all that a metric needs of a ranking."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

DEPTH = 10  # of the metrics that look at the first few


@dataclass(frozen=True)
class Ties:
    """Of some queries, each set of tied items that holds a relevant one, best first.

    Attributes:
        query: number of the query ``(ties,)``, ascending; each query has a tie.
        before: items that score better ``(ties,)``.
        size: items that score the same ``(ties,)``.
        count: relevant ones among them ``(ties,)``.
        gain: sum of their grades ``(ties,)``.
        ideal: discounted gain of the best possible first :data:`DEPTH` of each query
            ``(queries,)``; queries without relevant items are not among them.
    """

    query: np.ndarray
    before: np.ndarray
    size: np.ndarray
    count: np.ndarray
    gain: np.ndarray
    ideal: np.ndarray

    @cached_property
    def first(self) -> np.ndarray:
        """Before, size and count ``(queries, 3)`` of each query's best tie."""
        return np.stack([self.before, self.size, self.count], 1)[self._starts]

    @cached_property
    def relevant_before(self) -> np.ndarray:
        """Relevant items of the query that score better ``(ties,)``, float64."""
        count = self.count.astype(np.float64)
        above = count.cumsum() - count
        return above - above[self._starts[self.query]] if len(above) else above

    @cached_property
    def relevant(self) -> np.ndarray:
        """Relevant items of each query ``(queries,)``, float64."""
        return self.totals(self.count)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of ``values`` ``(ties,)`` of each query ``(queries,)``."""
        return np.bincount(self.query, values, len(self.ideal))

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.searchsorted(self.query, np.arange(len(self.ideal)))


def ideal_gain(grades: np.ndarray) -> float:
    """Return the discounted gain of grades ``(relevant,)`` in their best order."""
    best = np.sort(grades)[::-1][:DEPTH]
    return float((best * discounts()[: len(best)]).sum())


def discounts() -> np.ndarray:
    """Return the weight ``(DEPTH,)`` that a gain has at each of the first ranks."""
    return 1 / np.log2(np.arange(2, DEPTH + 2))
