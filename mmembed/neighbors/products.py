"""Products of all queries with all items, a tile at a time: the one place that multiplies them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from mmembed.errors import MmembedError
from mmembed.neighbors.vector_rows import Bags, VectorRows

BLOCK_SCORES = 1 << 25  # float64 scores that a thread holds at once
BLOCK_QUERIES = 256
TILE_ROWS = 1 << 13
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tile:
    """Scores of some queries with some items.

    Attributes:
        query: the first query.
        item: the first item.
        scores: ``(queries, items)`` of the tile, minus infinity for what is excluded; the next
            tile overwrites them.
    """

    query: int
    item: int
    scores: np.ndarray


def tiles(
    queries: np.ndarray,
    items: VectorRows,
    excluded: np.ndarray | None,
    size: tuple[int, int],
) -> Iterator[Tile]:
    """Yield the dot products of all queries with all items, each block of items read once.

    Args:
        queries: vectors ``(queries, dim)``; products have their precision.
        items: vectors ``(items, dim)``.
        excluded: int ``(queries, 2)``: of each query the items, from the first to before the
            second, that it is not compared with; None if there are none.
        size: most queries and most items of a tile.

    Raises:
        MmembedError: a vector is not finite.
    """
    most_queries, most_items = size
    shape = min(most_queries, len(queries)), min(most_items, len(items))
    memory = np.empty(shape, queries.dtype)
    _refuse_nan(queries)
    for item in range(0, len(items), most_items):
        given = items[item : item + most_items].astype(queries.dtype, copy=False)
        _refuse_nan(given)
        for query in range(0, len(queries), most_queries):
            asked = queries[query : query + most_queries]
            scores = np.matmul(asked, given.T, out=memory[: len(asked), : len(given)])
            if excluded is not None:
                exclude(scores, excluded[query : query + most_queries] - item)
            yield Tile(query, item, scores)


def exclude(scores: np.ndarray, excluded: np.ndarray) -> None:
    """Set scores ``(queries, items)`` of excluded ranges ``(queries, 2)`` to minus infinity."""
    low, high = np.clip(excluded.T, 0, scores.shape[1])
    for query in np.flatnonzero(high > low):
        scores[query, low[query] : high[query]] = -np.inf


def one_excluded(items: np.ndarray) -> np.ndarray:
    """Return the ranges ``(queries, 2)`` that exclude one item ``(queries,)`` of each query."""
    return np.stack([items, items + 1], 1)


def cosines(
    queries: Bags, items: Bags, block: range, excluded: np.ndarray | None = None
) -> np.ndarray:
    """Return float64 cosines ``(block, items)`` of a block of the queries with all items.

    Args:
        queries: all of them.
        items: all of them.
        block: the numbers of some queries, one after the other; at least one.
        excluded: ranges ``(block, 2)`` of items, as of :func:`tiles`.
    """
    first = queries.starts[block.start]
    asked = queries.vectors[first : queries.ends[block.stop - 1]].astype(np.float64)
    scores = np.empty((len(asked), len(items.vectors)))
    for tile in tiles(asked, items.vectors, None, (len(asked), TILE_ROWS)):
        scores[:, tile.item : tile.item + tile.scores.shape[1]] = tile.scores
    if not items.single:
        scores = np.maximum.reduceat(scores, items.starts, axis=1)
    if len(block) < len(scores):
        starts = queries.starts[block.start : block.stop] - first
        scores = np.maximum.reduceat(scores, starts, axis=0)
    if excluded is not None:
        exclude(scores, excluded)
    return scores


def block_size(queries: Bags, items: Bags) -> int:
    """Return the number of queries to score at once, so that a thread takes a bounded memory."""
    longest = max(1, int((queries.ends - queries.starts).max(initial=1)))
    return max(1, min(BLOCK_QUERIES, BLOCK_SCORES // max(1, len(items.vectors)) // longest))


def in_threads(work: Callable[[range], Result], queries: int, size: int) -> Iterator[Result]:
    """Yield ``work(block)`` of blocks of queries, in order, one thread a core.

    Blocks have at most ``size`` queries, and are so many that all cores have as much to do.
    """
    cores = os.cpu_count() or 1
    rounds = -(-queries // (cores * size))
    even = max(1, -(-queries // max(1, cores * rounds)))
    blocks = [range(start, min(start + even, queries)) for start in range(0, queries, even)]
    if len(blocks) < 2 or cores < 2:
        yield from map(work, blocks)
        return
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(cores, 16)) as pool:
        yield from pool.map(work, blocks)


def _refuse_nan(vectors: np.ndarray) -> None:
    """Refuse vectors that can't be compared; a sum costs little beside a product.

    Raises:
        MmembedError: a number is NaN or infinite.
    """
    with np.errstate(invalid="ignore"):
        total = vectors.sum()
    if not np.isfinite(total):
        raise MmembedError("a vector to compare is NaN or infinite; leave such rows out first")
