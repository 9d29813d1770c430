"""Lists of the nearest neighbours, fair to ties, a block of queries at a time.

Nearness is the cosine in float64. Where several items tie for the last places of a list, each
belongs to it in part: its share is the chance to be on the list if the tie were broken at random.
So copies of a vector are all treated alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmembed.neighbors.products import cosines, one_excluded
from mmembed.neighbors.vector_rows import Bags, as_bags

FLOAT32_TIE = 1e-9  # cosines nearer than this are equal; float32 vectors are no more exact
BLOCK_SCORES = 1 << 21


@dataclass(frozen=True)
class TiedLists:
    """The lists of a block of queries, as pairs of a query and an item.

    Attributes:
        start: the first query of the block.
        queries: number of queries of the block.
        row: of each pair the query, counted from ``start``, ascending ``(pairs,)``.
        column: of each pair the item ``(pairs,)``.
        share: of each pair how much of the item is on the list, in (0, 1] ``(pairs,)``; those of
            a query sum to the length of its list.
        score: of each pair the cosine ``(pairs,)``.
    """

    start: int
    queries: int
    row: np.ndarray
    column: np.ndarray
    share: np.ndarray
    score: np.ndarray


def tied_lists(
    queries: np.ndarray, items: np.ndarray, count: int, same: bool = False
) -> Iterator[TiedLists]:
    """Yield the ``count`` nearest items of each query, block by block.

    It holds one copy of the items in float64.

    Args:
        queries: unit vectors ``(queries, dim)``.
        items: unit vectors ``(items, dim)``.
        count: the length of a list; at most as many as there are items.
        same: queries and items are the same rows, and no row is its own neighbour.

    Raises:
        MmembedError: a vector is not finite.
    """
    asked, wide = as_bags(queries), Bags(items.astype(np.float64), np.arange(len(items)))
    count = min(count, len(items) - same)
    size = max(1, BLOCK_SCORES // max(1, len(items)))
    for start in range(0, len(queries) if count > 0 else 0, size):
        block = range(start, min(start + size, len(queries)))
        scores = cosines(asked, wide, block, one_excluded(np.array(block)) if same else None)
        rows = len(scores)
        last = np.partition(scores, scores.shape[1] - count, axis=1)[:, scores.shape[1] - count]
        row, column = np.nonzero(scores >= last[:, None] - FLOAT32_TIE)
        score = scores[row, column]
        surely = score > last[row] + FLOAT32_TIE
        inside = np.bincount(row, surely, rows)
        tied = np.bincount(row, ~surely, rows)
        share = np.where(surely, 1.0, ((count - inside) / tied)[row])
        yield TiedLists(start, rows, row, column, share, score)
