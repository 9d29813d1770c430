"""Exact neighbours among very many items: float32 scores screen, float64 decides.

A float32 dot product of unit vectors is off by less than :func:`rounding`, so what scores further
from a threshold than that is surely above or below it; the few items between are scored again in
float64. Results are those of :func:`mmembed.neighbors.products.cosines`, as fast as float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mmembed.neighbors.products import tiles
from mmembed.neighbors.tied_ranks import tied_ranks
from mmembed.neighbors.vector_rows import Bags

QUERIES, TILE_ROWS = 1 << 11, 1 << 10  # of a matrix product: what is quickest
FEWEST_ITEMS = 1 << 14  # below, ranking all in float64 is as quick
MOST_WANTED = 16  # a query; each costs a pass over all scores
MOST_CLOSE = 1 << 24  # pairs of a block to score again; more means that nearly all is tied
PAIRS = 1 << 8  # scored again at once; their rows fit a core's cache


class TooClose(Exception):
    """So many scores are nearly equal that screening does not pay."""


def rounding(dim: int) -> float:
    """Return the most that a float32 dot product of two unit vectors of ``dim`` may be off.

    Higham 2002, "Accuracy and stability of numerical algorithms", eq. 3.5, for any order of the
    sum; a little more because the vectors are of unit length only to float32.
    """
    return (dim + 8) * 2.0**-24


class RankCounter:
    """The ranks of some items of each query of a block, counted.

    Args:
        queries: unit vectors float32 ``(block, dim)``.
        items: unit vectors float32 ``(items, dim)``.
        wanted: for each query, the numbers of the items whose ranks are wanted.
    """

    def __init__(
        self, queries: np.ndarray, items: np.ndarray, wanted: Sequence[np.ndarray]
    ) -> None:
        self._queries, self._items = queries, items
        lengths = np.array([len(each) for each in wanted])
        query = np.repeat(np.arange(len(wanted)), lengths)
        flat = np.concatenate(wanted).astype(int)
        self._exact = paired_products(queries, items, query, flat)
        width = int(lengths.max(initial=0))
        slack = rounding(queries.shape[1])
        column = np.arange(len(flat)) - np.repeat(lengths.cumsum() - lengths, lengths)
        self._low = np.full((width, len(wanted)), np.inf, np.float32)
        self._high = self._low.copy()
        down, up = np.float32(-np.inf), np.float32(np.inf)
        self._low[column, query] = np.nextafter(np.float32(self._exact - slack), down)
        self._high[column, query] = np.nextafter(np.float32(self._exact + slack), up)
        self._above = np.zeros((width, len(wanted)), int)
        self._mask = np.empty((len(wanted), TILE_ROWS), bool)
        self._close: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._pairs = 0
        self._offsets = np.append(0, lengths.cumsum())

    def see(self, scores: np.ndarray, first: int) -> None:
        """Count float32 scores ``(block, tile)`` of the items from ``first`` on."""
        for row, (low, high) in enumerate(zip(self._low, self._high, strict=True)):
            above = np.greater(scores, high[:, None], out=self._mask[:, : scores.shape[1]])
            self._above[row] += np.count_nonzero(above, axis=1)
            close = (scores >= low[:, None]) ^ above
            query, item = np.divmod(np.flatnonzero(close), scores.shape[1])
            self._pairs += len(query)
            if self._pairs > MOST_CLOSE:
                raise TooClose
            self._close.append((row, query.astype(np.int32), (first + item).astype(np.int32)))

    def finish(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Score again what was too close to tell, and return the ranks of each query's items.

        They are the numbers of better items and the sizes of the ties ``(wanted,)``.
        """
        near = self._near()
        ranks = []
        for query, (start, stop) in enumerate(pairwise(self._offsets.tolist())):
            before, size = np.empty(stop - start, int), np.empty(stop - start, int)
            for row, score in enumerate(self._exact[start:stop]):
                above = int(self._above[row, query])
                before[row], size[row] = tied_ranks(near[row, query], score, above)
            ranks.append((before, size))
        return ranks

    def _near(self) -> dict[tuple[int, int], np.ndarray]:
        """Return the float64 scores that are close to a wanted one, by its row and query."""
        if not self._close:
            return {}
        row = np.repeat([r for r, _, _ in self._close], [len(q) for _, q, _ in self._close])
        query = np.concatenate([q for _, q, _ in self._close])
        item = np.concatenate([i for _, _, i in self._close])
        score = paired_products(self._queries, self._items, query, item)
        order = np.lexsort((score, query, row))
        row, query, score = row[order], query[order], score[order]
        starts = np.flatnonzero(np.append(True, (np.diff(row) != 0) | (np.diff(query) != 0)))
        stops = np.append(starts[1:], len(row))
        return {
            (int(row[start]), int(query[start])): score[start:stop]
            for start, stop in zip(starts, stops, strict=True)
        }


class Best:
    """The best items of each query of a block.

    Args:
        queries: unit vectors float32 ``(block, dim)``.
        items: unit vectors float32 ``(items, dim)``.
        count: the number that is wanted of each query; no more than there are items.
    """

    def __init__(self, queries: np.ndarray, items: np.ndarray, count: int) -> None:
        self._queries, self._items, self._count = queries, items, count
        self._slack = np.float32(2.01 * rounding(queries.shape[1]))
        self._mask = np.empty((len(queries), TILE_ROWS), bool)
        self._least = np.full(len(queries), -np.inf, np.float32)
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._pairs, self._seen, self._again = 0, 0, 0

    def see(self, scores: np.ndarray, first: int) -> None:
        """Take what may be among the best of float32 scores ``(block, tile)``."""
        width = scores.shape[1]
        if not self._seen and width > self._count:
            place = width - self._count
            self._least = np.partition(scores, place, axis=1)[:, place] - self._slack
        enough = np.greater_equal(scores, self._least[:, None], out=self._mask[:, :width])
        query, item = np.divmod(np.flatnonzero(enough), width)
        self._kept.append((query, first + item, scores[query, item]))
        self._pairs += len(query)
        self._seen += width
        if self._seen >= self._again:
            self._narrow()
            self._again = 2 * self._seen
        if self._pairs > MOST_CLOSE:
            raise TooClose

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return items ``(block, count)``, best first and ties by number, and their scores."""
        query, item, _ = self._narrow()
        score = paired_products(self._queries, self._items, query, item)
        order = np.lexsort((item, -score, query))
        query, item, score = query[order], item[order], score[order]
        starts = np.searchsorted(query, np.arange(len(self._queries)))
        index = starts[:, None] + np.arange(self._count)
        return item[index], score[index]

    def _narrow(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Drop what has become too low, and raise the least that is kept."""
        query, item, score = (np.concatenate(each) for each in zip(*self._kept, strict=True))
        order = np.argsort(_by_query_best_first(query, score))
        query, item, score = query[order], item[order], score[order]
        starts = np.searchsorted(query, np.arange(len(self._queries)))
        last = starts + self._count - 1
        full = last < np.append(starts[1:], len(query))
        self._least[full] = np.maximum(self._least[full], score[last[full]] - self._slack)
        enough = score >= self._least[query]
        kept = query[enough], item[enough], score[enough]
        self._kept, self._pairs = [kept], len(kept[0])
        return kept


def screen(
    queries: np.ndarray,
    items: np.ndarray,
    excluded: np.ndarray,
    observers: Sequence[RankCounter | Best],
) -> None:
    """Show all float32 scores to ``observers``, a tile of items at a time.

    Args:
        queries: unit vectors float32 ``(block, dim)``.
        items: unit vectors float32 ``(items, dim)``.
        excluded: ranges ``(block, 2)`` of items, as of :func:`~mmembed.neighbors.products.tiles`.
        observers: each sees every score.

    Raises:
        TooClose: nearly all scores are equal.
    """
    for tile in tiles(queries, items, excluded, (len(queries), TILE_ROWS)):
        for each in observers:
            each.see(tile.scores, tile.item)


def paired_products(
    queries: np.ndarray, items: np.ndarray, query: np.ndarray, item: np.ndarray
) -> np.ndarray:
    """Return the float64 dot products ``(pairs,)`` of pairs of a query and an item."""
    products = np.empty(len(query))
    wide = queries.astype(np.float64)
    for start in range(0, len(query), PAIRS):
        part = slice(start, start + PAIRS)
        products[part] = np.einsum("ij,ij->i", wide[query[part]], items[item[part]].astype(float))
    return products


def _by_query_best_first(query: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return a key ``(pairs,)``, ascending by query and then descending by float32 score.

    One integer to sort by is several times as quick as two columns. The bits of a float are in
    its order once those of a negative one are turned.
    """
    bits = score.view(np.int32)
    ascending = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    return (query.astype(np.int64) << 32) - ascending


def pays(queries: Bags, items: Bags, most: int) -> bool:
    """Return whether screening is quicker than scoring all in float64.

    Args:
        queries: all of them.
        items: all of them.
        most: the largest number of items whose rank is wanted of a query.
    """
    few = most <= MOST_WANTED
    return few and len(items) >= FEWEST_ITEMS and queries.single and items.single
