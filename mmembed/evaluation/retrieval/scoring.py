"""Cosines of queries and targets in float64, a block of queries at a time, in threads.

Items may be bags of several vectors; two items score the best of all their pairs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

TIE = 1e-12  # scores nearer than this are equal: what float64 sums of unit vectors can differ by
BLOCK_SCORES = 1 << 25
TILE_ROWS = 1 << 13
Result = TypeVar("Result")


@dataclass(frozen=True)
class Bags:
    """Items of one or more unit vectors.

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
        return np.append(self.starts[1:], len(self.vectors))

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


def scores(queries: Bags, targets: Bags, start: int, stop: int) -> np.ndarray:
    """Return float64 cosines ``(stop - start, targets)`` of some of the queries."""
    first, ends = queries.starts[start], queries.ends
    asked = queries.vectors[first : ends[stop - 1]].astype(np.float64)
    found = np.empty((len(asked), len(targets.vectors)))
    for low in range(0, len(targets.vectors), TILE_ROWS):
        high = low + TILE_ROWS
        found[:, low:high] = asked @ targets.vectors[low:high].astype(np.float64).T
    if not targets.single:
        found = np.maximum.reduceat(found, targets.starts, axis=1)
    if stop - start < len(found):
        found = np.maximum.reduceat(found, queries.starts[start:stop] - first, axis=0)
    return found


def block_size(queries: Bags, targets: Bags) -> int:
    """Return how many queries are scored at once, so that a thread takes a bounded memory."""
    longest = max(1, int((queries.ends - queries.starts).max(initial=1)))
    return max(1, min(256, BLOCK_SCORES // max(1, len(targets.vectors)) // longest))


def in_threads(work: Callable[[int, int], Result], queries: int, size: int) -> Iterator[Result]:
    """Yield ``work(start, stop)`` of blocks of queries, in order, one thread a core.

    Blocks have at most ``size`` queries, and are so many that all cores have as much to do.
    """
    cores = os.cpu_count() or 1
    rounds = -(-queries // (cores * size))
    even = max(1, -(-queries // max(1, cores * rounds)))
    bounds = [(start, min(start + even, queries)) for start in range(0, queries, even)]
    if len(bounds) < 2 or cores < 2:
        yield from (work(*each) for each in bounds)
        return
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(cores, 16)) as pool:
        yield from pool.map(lambda each: work(*each), bounds)


@dataclass(frozen=True)
class TieList:
    """The ties of one query that hold relevant items, best first.

    Attributes:
        before, size, count, gain: as in :class:`~mmembed.evaluation.retrieval.metrics.Ties`.
    """

    before: np.ndarray
    size: np.ndarray
    count: np.ndarray
    gain: np.ndarray


def ties_among(
    ordered: np.ndarray, relevant: np.ndarray, grades: np.ndarray, better: int = 0
) -> TieList:
    """Return the ties of relevant items.

    Scores are tied with their neighbours up to :data:`TIE`.

    Args:
        ordered: scores of the targets, ascending ``(targets,)``.
        relevant: scores of the relevant ones ``(relevant,)``.
        grades: their grades ``(relevant,)``.
        better: number of further targets that are better than all of these.
    """
    edges = np.flatnonzero(np.diff(ordered) > TIE) + 1
    place = np.minimum(np.searchsorted(ordered, relevant), len(ordered) - 1)
    group = np.searchsorted(edges, place, side="right")
    found, which = np.unique(-group, return_inverse=True)
    bounds = np.concatenate([[0], edges, [len(ordered)]])
    low, high = bounds[-found], bounds[1 - found]
    counts = np.bincount(which, minlength=len(found))
    gain = np.bincount(which, grades, len(found))
    return TieList(better + len(ordered) - high, high - low, counts, gain)
