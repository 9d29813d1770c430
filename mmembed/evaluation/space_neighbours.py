"""The nearest neighbours of vectors, fair to ties, a block of rows at a time.

Pure functions over unit vectors; nearness is the cosine in float64. Where several rows tie for the
last places of a list, each belongs to it in part: its share is the chance to be on the list if the
tie were broken at random. So copies of a vector are all treated alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TIE = 1e-9  # cosines nearer than this are equal; float32 vectors are no more exact
BLOCK_SCORES = 1 << 21


@dataclass(frozen=True)
class Neighbours:
    """The lists of a block of queries, as pairs of a query and a target.

    Attributes:
        start: the first query of the block.
        queries: number of queries of the block.
        row: of each pair the query, counted from ``start``, ascending ``(pairs,)``.
        column: of each pair the target ``(pairs,)``.
        share: of each pair how much of the target is on the list, in (0, 1] ``(pairs,)``; those of
            a query sum to the length of its list.
        score: of each pair the cosine ``(pairs,)``.
    """

    start: int
    queries: int
    row: np.ndarray
    column: np.ndarray
    share: np.ndarray
    score: np.ndarray


def nearest(
    queries: np.ndarray, targets: np.ndarray, count: int, same: bool = False
) -> Iterator[Neighbours]:
    """Yield the ``count`` nearest targets of each query, block by block.

    Args:
        queries: unit vectors ``(queries, dim)``.
        targets: unit vectors ``(targets, dim)``.
        count: the length of a list; at most as many as there are targets.
        same: queries and targets are the same rows, and no row is its own neighbour.
    """
    wide = targets.astype(np.float64).T
    count = min(count, len(targets) - same)
    size = max(1, BLOCK_SCORES // max(1, len(targets)))
    for start in range(0, len(queries) if count > 0 else 0, size):
        scores = queries[start : start + size].astype(np.float64) @ wide
        rows = len(scores)
        if same:
            scores[np.arange(rows), start + np.arange(rows)] = -np.inf
        last = np.partition(scores, scores.shape[1] - count, axis=1)[:, scores.shape[1] - count]
        row, column = np.nonzero(scores >= last[:, None] - TIE)
        score = scores[row, column]
        surely = score > last[row] + TIE
        inside = np.bincount(row, surely, rows)
        tied = np.bincount(row, ~surely, rows)
        share = np.where(surely, 1.0, ((count - inside) / tied)[row])
        yield Neighbours(start, rows, row, column, share, score)
