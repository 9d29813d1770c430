"""Exact ranks among very many targets: float32 scores screen, float64 decides.

A float32 dot product of unit vectors is off by less than :func:`rounding`, so what scores further
from a threshold than that is surely above or below it; the few targets between are scored again
in float64. Results are those of :mod:`mmembed.evaluation.retrieval.scoring`, as fast as float32.
"""

from __future__ import annotations

import numpy as np

from mmembed.evaluation.retrieval.scoring import Bags, TieList, ties_among

QUERIES, TILE_ROWS = 1 << 11, 1 << 10  # of a matrix product: what is quickest
FEWEST_TARGETS = 1 << 14  # below, ranking all in float64 is as quick
MOST_RELEVANT = 16  # a query; each costs a pass over all scores
MOST_CLOSE = 1 << 24  # pairs of a block to score again; more means that nearly all is tied
PAIRS = 1 << 8  # scored again at once; their rows fit a core's cache


class TooClose(Exception):
    """So many scores are nearly equal that screening does not pay."""


def rounding(dim: int) -> float:
    """Return how far a float32 dot product of two unit vectors of ``dim`` may be off.

    Higham 2002, "Accuracy and stability of numerical algorithms", eq. 3.5, for any order of the
    sum; a little more because the vectors are of unit length only to float32.
    """
    return (dim + 8) * 2.0**-24


class Counter:
    """Where some targets of each query of a block stand among all.

    Args:
        queries: unit vectors float32 ``(block, dim)``.
        targets: unit vectors float32 ``(targets, dim)``.
        asked: for each query, the numbers of the targets whose places are wanted.
    """

    def __init__(self, queries: np.ndarray, targets: np.ndarray, asked: list[np.ndarray]) -> None:
        self._queries, self._targets = queries, targets
        lengths = np.array([len(each) for each in asked])
        query = np.repeat(np.arange(len(asked)), lengths)
        flat = np.concatenate(asked).astype(int)
        self.exact = exact(queries, targets, query, flat)
        width = int(lengths.max(initial=0))
        slack = rounding(queries.shape[1])
        column = np.arange(len(flat)) - np.repeat(lengths.cumsum() - lengths, lengths)
        self._low = np.full((width, len(asked)), np.inf, np.float32)
        self._high = self._low.copy()
        down, up = np.float32(-np.inf), np.float32(np.inf)
        self._low[column, query] = np.nextafter(np.float32(self.exact - slack), down)
        self._high[column, query] = np.nextafter(np.float32(self.exact + slack), up)
        self._above = np.zeros((width, len(asked)), int)
        self._mask = np.empty((len(asked), TILE_ROWS), bool)
        self._close: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._pairs = 0
        self._offsets = np.append(0, lengths.cumsum())

    def see(self, scores: np.ndarray, first: int) -> None:
        """Count float32 scores ``(block, tile)`` of the targets from ``first`` on."""
        for row, (low, high) in enumerate(zip(self._low, self._high, strict=True)):
            above = np.greater(scores, high[:, None], out=self._mask[:, : scores.shape[1]])
            self._above[row] += np.count_nonzero(above, axis=1)
            close = (scores >= low[:, None]) ^ above
            query, target = np.divmod(np.flatnonzero(close), scores.shape[1])
            self._pairs += len(query)
            if self._pairs > MOST_CLOSE:
                raise TooClose
            self._close.append((row, query.astype(np.int32), (first + target).astype(np.int32)))

    def ties(self, number: int, relevant: np.ndarray, grades: np.ndarray) -> TieList:
        """Return the ties of some of the targets that were asked for, of one query.

        Args:
            number: the query, within the block.
            relevant: places of the targets in its list ``(relevant,)``.
            grades: of each ``(relevant,)``.
        """
        found = []
        for place, grade in zip(relevant, grades, strict=True):
            near, above = self._near[place, number], int(self._above[place, number])
            score = self.exact[self._offsets[number] + place]
            one = ties_among(near, np.array([score]), np.array([grade]), above)
            found.append((int(one.before[0]), int(one.size[0]), grade))
        merged: dict[tuple[int, int], list[float]] = {}
        for before, size, grade in sorted(found):
            merged.setdefault((before, size), []).append(grade)
        places = np.array(list(merged), int).reshape(-1, 2)
        counts = np.array([len(each) for each in merged.values()], int)
        gain = np.array([sum(each) for each in merged.values()], float)
        return TieList(places[:, 0], places[:, 1], counts, gain)

    def finish(self) -> None:
        """Score again in float64 what was too close to tell; :meth:`ties` works only then."""
        self._near: dict[tuple[int, int], np.ndarray] = {}
        if not self._close:
            return
        row = np.repeat([r for r, _, _ in self._close], [len(q) for _, q, _ in self._close])
        query = np.concatenate([q for _, q, _ in self._close])
        target = np.concatenate([t for _, _, t in self._close])
        score = exact(self._queries, self._targets, query, target)
        order = np.lexsort((score, query, row))
        row, query, score = row[order], query[order], score[order]
        starts = np.flatnonzero(np.append(True, (np.diff(row) != 0) | (np.diff(query) != 0)))
        for start, stop in zip(starts, np.append(starts[1:], len(row)), strict=True):
            self._near[int(row[start]), int(query[start])] = score[start:stop]


class Best:
    """The best targets of each query of a block.

    Args:
        queries: unit vectors float32 ``(block, dim)``.
        targets: unit vectors float32 ``(targets, dim)``.
        count: how many of each query are wanted; no more than there are targets.
    """

    def __init__(self, queries: np.ndarray, targets: np.ndarray, count: int) -> None:
        self._queries, self._targets, self._count = queries, targets, count
        self._slack = np.float32(2.01 * rounding(queries.shape[1]))
        self._mask = np.empty((len(queries), TILE_ROWS), bool)
        self._least = np.full(len(queries), -np.inf, np.float32)
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._pairs, self._seen, self._again = 0, 0, 0

    def see(self, scores: np.ndarray, first: int) -> None:
        """Take what may be among the best of float32 scores ``(block, tile)``."""
        width = scores.shape[1]
        if not self._seen and width > self._count:
            place = width - self._count
            self._least = np.partition(scores, place, axis=1)[:, place] - self._slack
        enough = np.greater_equal(scores, self._least[:, None], out=self._mask[:, :width])
        query, target = np.divmod(np.flatnonzero(enough), width)
        self._found.append((query, first + target, scores[query, target]))
        self._pairs += len(query)
        self._seen += width
        if self._seen >= self._again:
            self._narrow()
            self._again = 2 * self._seen
        if self._pairs > MOST_CLOSE:
            raise TooClose

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return targets ``(block, count)``, best first and ties by number, and their scores."""
        query, target, _ = self._narrow()
        score = exact(self._queries, self._targets, query, target)
        order = np.lexsort((target, -score, query))
        query, target, score = query[order], target[order], score[order]
        starts = np.searchsorted(query, np.arange(len(self._queries)))
        index = starts[:, None] + np.arange(self._count)
        return target[index], score[index]

    def _narrow(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drop what has become too low, and raise what is asked for."""
        query, target, score = (np.concatenate(each) for each in zip(*self._found, strict=True))
        order = np.argsort(_by_query_best_first(query, score))
        query, target, score = query[order], target[order], score[order]
        starts = np.searchsorted(query, np.arange(len(self._queries)))
        last = starts + self._count - 1
        full = last < np.append(starts[1:], len(query))
        self._least[full] = np.maximum(self._least[full], score[last[full]] - self._slack)
        kept = score >= self._least[query]
        found = query[kept], target[kept], score[kept]
        self._found, self._pairs = [found], len(found[0])
        return found


def screen(
    queries: np.ndarray, targets: np.ndarray, own: np.ndarray, seen: list[Counter | Best]
) -> None:
    """Show all float32 scores to ``seen``, a tile of targets at a time.

    Args:
        queries: unit vectors float32 ``(block, dim)``.
        targets: unit vectors float32 ``(targets, dim)``.
        own: int ``(block, 2)``: the targets that are the query itself, and are left out.
        seen: what looks at them.

    Raises:
        TooClose: nearly all scores are equal.
    """
    space = np.empty((len(queries), TILE_ROWS), np.float32)
    for first in range(0, len(targets), TILE_ROWS):
        given = targets[first : first + TILE_ROWS]
        tile = np.matmul(queries, given.T, out=space[:, : len(given)])
        low, high = np.clip(own.T - first, 0, tile.shape[1])
        for query in np.flatnonzero(high > low):
            tile[query, low[query] : high[query]] = -np.inf
        for each in seen:
            each.see(tile, first)


def exact(
    queries: np.ndarray, targets: np.ndarray, query: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Return the float64 dot products ``(pairs,)`` of pairs of rows."""
    found = np.empty(len(query))
    wide = queries.astype(np.float64)
    for start in range(0, len(query), PAIRS):
        part = slice(start, start + PAIRS)
        found[part] = np.einsum("ij,ij->i", wide[query[part]], targets[target[part]].astype(float))
    return found


def _by_query_best_first(query: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return a key ``(pairs,)``, ascending by query and then descending by float32 score.

    One integer to sort by is several times as quick as two columns. The bits of a float are in
    its order once those of a negative one are turned.
    """
    bits = score.view(np.int32)
    ascending = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    return (query.astype(np.int64) << 32) - ascending


def pays(queries: Bags, targets: Bags, most: int) -> bool:
    """Return whether screening is quicker than ranking all in float64."""
    few = most <= MOST_RELEVANT
    return few and len(targets) >= FEWEST_TARGETS and queries.single and targets.single
