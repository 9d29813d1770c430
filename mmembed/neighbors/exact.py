"""Exact neighbours by cosine: the top k of each query, and the ranks of wanted items.

Scores are those of float64. Where items are very many, float32 screens them
(:mod:`mmembed.neighbors.screening`); the results are the same. Memory is bounded: a block of
queries and a tile of items at a time, in a thread a core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.neighbors.products import block_size, cosines, in_threads
from mmembed.neighbors.screening import QUERIES, Best, RankCounter, TooClose, pays, screen
from mmembed.neighbors.tied_ranks import tied_ranks
from mmembed.neighbors.vector_rows import Ranked, as_bags


def top_k(
    queries: Ranked, items: Ranked, count: int, excluded: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best items ``(queries, count)``, best first and ties by index, and their scores.

    Fewer than ``count`` columns where a query is compared with fewer items.

    Args:
        queries: unit vectors float32 ``(queries, dim)``, or bags of them.
        items: unit vectors float32 ``(items, dim)``, or bags of them.
        count: the number of items of each query.
        excluded: int ``(queries, 2)``: of each query the items, from the first to before the
            second, that it is not compared with; None if there are none.

    Raises:
        MmembedError: a vector is not finite.
    """
    asked, given = as_bags(queries), as_bags(items)
    left_out = _ranges(len(asked), excluded)
    count = min(count, len(given) - int(np.diff(left_out).max(initial=0)))
    quick = asked.single and given.single

    def block(part: range) -> tuple[np.ndarray, np.ndarray]:
        if quick:
            vectors = asked.vectors[part.start : part.stop]
            best = Best(vectors, given.vectors, count)
            try:
                screen(vectors, given.vectors, left_out[part.start : part.stop], [best])
                return best.finish()
            except TooClose:
                pass
        rows = []
        for query in part:
            one = range(query, query + 1)
            row = cosines(asked, given, one, left_out[query : query + 1])[0]
            order = np.argsort(-row, kind="stable")[:count]
            rows.append((order, row[order]))
        places, scores = (np.stack(each) for each in zip(*rows, strict=True))
        return places, scores

    if count < 1 or not len(asked):
        return np.empty((len(asked), 0), int), np.empty((len(asked), 0))
    parts = list(in_threads(block, len(asked), QUERIES if quick else block_size(asked, given)))
    return np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts])


@dataclass(frozen=True)
class Ranks:
    """The ranks of the wanted items of one query, where items that tie share theirs.

    Attributes:
        before: number of items that score better than the tie of each ``(wanted,)``.
        size: number of items in that tie, itself among them ``(wanted,)``.
        ranked: number of items that the query is compared with.
        best: the best score of these.
    """

    before: np.ndarray
    size: np.ndarray
    ranked: int
    best: float


class RankSearch:
    """Ranks of wanted items among all that a query is compared with, a block of queries at a time.

    Args:
        queries: unit vectors float32 ``(queries, dim)``, or bags of them.
        items: unit vectors float32 ``(items, dim)``, or bags of them; at least one.
        most: the largest number of items that are wanted of a query.
        excluded: as of :func:`top_k`.
    """

    def __init__(
        self, queries: Ranked, items: Ranked, most: int, excluded: np.ndarray | None = None
    ) -> None:
        self._queries, self._items = as_bags(queries), as_bags(items)
        self._excluded = _ranges(len(self._queries), excluded)
        self._quick = pays(self._queries, self._items, most)

    @property
    def block_size(self) -> int:
        """The number of queries to ask for at once, at most."""
        return QUERIES if self._quick else block_size(self._queries, self._items)

    def ranks(self, block: range, wanted: Sequence[np.ndarray]) -> list[Ranks]:
        """Return the ranks of the ``wanted`` items of each query of a block.

        Args:
            block: the numbers of queries, one after the other.
            wanted: for each the numbers of items; none of them is excluded.

        Raises:
            MmembedError: a vector is not finite.
        """
        if self._quick:
            try:
                return self._screened(block, wanted)
            except TooClose:
                pass
        size = block_size(self._queries, self._items)
        starts = range(0, len(block), size)
        few = ((block[start : start + size], wanted[start : start + size]) for start in starts)
        return [each for part, items in few for each in self._sorted(part, items)]

    def _sorted(self, block: range, wanted: Sequence[np.ndarray]) -> list[Ranks]:
        """Return ranks by sorting all scores."""
        excluded = self._excluded[block.start : block.stop]
        scores = cosines(self._queries, self._items, block, excluded)
        results = []
        for row, items, (low, high) in zip(scores, wanted, excluded, strict=True):
            own = row[items]
            ordered = np.sort(row)[high - low :]
            best = float(ordered[-1]) if len(ordered) else -np.inf
            before, size = tied_ranks(ordered, own) if len(own) else (_NONE, _NONE)
            results.append(Ranks(before, size, len(ordered), best))
        return results

    def _screened(self, block: range, wanted: Sequence[np.ndarray]) -> list[Ranks]:
        """Return ranks by counting what is better than the wanted items."""
        vectors = self._queries.vectors[block.start : block.stop]
        items, excluded = self._items.vectors, self._excluded[block.start : block.stop]
        counter, best = RankCounter(vectors, items, wanted), Best(vectors, items, 1)
        screen(vectors, items, excluded, [counter, best])
        ranked = len(items) - (excluded[:, 1] - excluded[:, 0])
        each = zip(counter.finish(), ranked, best.finish()[1][:, 0], strict=True)
        return [Ranks(*ranks, int(count), float(score)) for ranks, count, score in each]


_NONE = np.empty(0, int)


def _ranges(queries: int, excluded: np.ndarray | None) -> np.ndarray:
    """Return the excluded ranges ``(queries, 2)``, empty ones where there are none."""
    return np.zeros((queries, 2), int) if excluded is None else excluded
