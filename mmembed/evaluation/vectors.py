"""Unit vectors, and sums of the rows that belong together."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from mmembed.store.vectors import SHORTEST


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows ``(rows, dim)`` to unit length, in float64; zero rows stay zero."""
    return unit_and_lengths(vectors)[0]


def unit_and_lengths(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what :func:`unit` does, and how long the rows were ``(rows,)``."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    with np.errstate(invalid="ignore"):  # infinite by infinite
        return vectors / np.maximum(lengths, SHORTEST)[:, None], lengths


def members(codes: np.ndarray, count: int) -> csr_matrix:
    """Return a sparse ``(count, rows)`` that is 1 where a row has that code.

    Its product with vectors ``(rows, dim)`` sums those of each code.
    """
    rows = np.arange(len(codes))
    return csr_matrix((np.ones(len(codes)), (codes, rows)), shape=(count, len(codes)))
