"""Random unit vectors, some of them repeated, and their cosines one by one."""

from __future__ import annotations

import numpy as np


def unit(rng: np.random.Generator, rows: int, dim: int = 8) -> np.ndarray:
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_repeats(rng: np.random.Generator, rows: int, dim: int = 16) -> np.ndarray:
    """Unit vectors, a third of which stand there several times and so tie."""
    vectors = unit(rng, rows, dim)
    copies = rng.random(rows) < 1 / 3
    if rows:
        vectors[copies] = vectors[rng.integers(0, min(5, rows), copies.sum())]
    return vectors


def dense(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The float64 cosines ``(queries, items)``, the same for the same pair of vectors."""
    wide = items.astype(np.float64)
    rows = [(wide * query.astype(np.float64)).sum(1) for query in queries]
    return np.array(rows).reshape(len(queries), len(items))


def ranges(rng: np.random.Generator, queries: int, items: int) -> np.ndarray:
    """Of each query a range of up to three items, often none, that it is not compared with."""
    low = rng.integers(0, items + 1, queries)
    return np.stack([low, np.minimum(items, low + rng.integers(0, 4, queries))], 1)


def without(scores: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """Scores ``(queries, items)`` with minus infinity for excluded items."""
    scores = scores.copy()
    for row, (low, high) in zip(scores, excluded, strict=True):
        row[low:high] = -np.inf
    return scores
