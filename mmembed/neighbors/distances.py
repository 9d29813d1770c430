"""Distances of the nearest neighbours, down to those of copies that float products can't tell."""

from __future__ import annotations

import numpy as np

from mmembed.neighbors.products import tiles
from mmembed.neighbors.vector_rows import ProjectedRows, VectorRows

ROWS, COLUMNS = 1024, 4096


def nearest_distances(
    queries: np.ndarray,
    items: VectorRows,
    count: int = 1,
    excluded: np.ndarray | None = None,
    projection: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and numbers of the nearest items, ``(queries, count)``, nearest first.

    Candidates come from float32 products, the best ``count`` of a tile; their distances from
    differences, since products can't tell distances below 5e-4.

    Args:
        queries: float32 unit vectors ``(queries, dim)``.
        items: float32 unit vectors ``(items, dim)``.
        count: the number of items of each query; infinitely far and -1 where there are fewer.
        excluded: ranges ``(queries, 2)`` of items that a query is not compared with.
        projection: orthonormal ``(dim, few)``; candidates are the nearest in that space, which
            are not always the nearest, but copies among neighbours that are much farther are.

    Raises:
        MmembedError: a vector is not finite.
    """
    distances = np.full((len(queries), count), np.inf, np.float32)
    places = np.full((len(queries), count), -1)
    sought, offered = queries, items
    if projection is not None:
        ones = np.ones(len(queries), np.float32)
        sought = np.column_stack([queries @ projection, ones])
        offered = ProjectedRows(items, projection)
    for tile in tiles(sought, offered, excluded, (ROWS, COLUMNS)):
        scores = tile.scores
        part = slice(tile.query, tile.query + len(scores))
        at = np.arange(len(scores))
        for _ in range(min(count, scores.shape[1])):
            best = scores.argmax(1)
            far = np.linalg.norm(items[tile.item + best] - queries[part], axis=1)
            far[np.isneginf(scores[at, best])] = np.inf
            scores[at, best] = -np.inf
            every = np.column_stack([distances[part], far])
            where = np.column_stack([places[part], tile.item + best])
            order = np.argsort(every, axis=1, kind="stable")[:, :count]
            distances[part] = np.take_along_axis(every, order, 1)
            places[part] = np.take_along_axis(where, order, 1)
    return distances, places
