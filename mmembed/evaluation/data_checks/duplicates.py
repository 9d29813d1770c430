"""Vectors that repeat: bit for bit, or so near across splits that chance did not put them there.

Pure functions over unit vectors; they know nothing of files. All work in blocks of float32, so
that a million vectors cost little memory beside themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.evaluation.space_geometry import even_sample
from mmembed.neighbors.distances import nearest_distances
from mmembed.neighbors.products import one_excluded
from mmembed.neighbors.vector_rows import SelectedRows

NEAR = 0.01  # farther apart than this (cosine 0.99995) is no copy, however empty the space is
NEARER = 0.2  # of a low nearest-neighbour distance inside a split: a copy is nearer than that
LOW = 0.1  # the quantile that is called low; burst shots in up to as many files don't move it
ALARMS = 1e-3  # copies that chance may be expected to make in a dataset without any
SAME = 1e-5  # two vectors nearer than this are one, computed twice
SAMPLE = 300  # rows that show what distances are usual
PRODUCTS = 1 << 40  # multiplications to spend; 10,000 × 1,000,000 × 512 takes most of them
OVERHEAD = 64  # what looking for the best of a row of products costs, in multiplications
NARROW = 32  # dimensions that copies are looked for in; projected, they are no farther apart
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Copies:
    """Rows that are copies of rows in another split.

    Attributes:
        rows: indices ``(copies,)``, of the smaller split.
        partners: index ``(copies,)`` of what each is a copy of.
        compared: rows of the smaller splits that were compared with all of the larger ones.
        rows_to_compare: rows of the smaller splits; more than ``compared`` where all were too many.
    """

    rows: np.ndarray
    partners: np.ndarray
    compared: int
    rows_to_compare: int


@dataclass(frozen=True)
class Usual:
    """The usual distance of the nearest neighbour inside a split.

    Attributes:
        low: the :data:`LOW` quantile of the distances.
        dimension: of the space that the vectors fill near each other; on the low side.
        rows: of the split.
    """

    low: float
    dimension: float
    rows: int


def row_codes(vectors: np.ndarray) -> np.ndarray:
    """Return a hash ``(rows,)`` of 64 bits, the same for the same numbers (-0.0 is 0.0)."""
    codes = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS] + np.float32(0)
        codes[start : start + BLOCK_ROWS] = [hash(row.tobytes()) for row in block]
    return codes


def repeats(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places ``(repeats,)`` of codes that were there before, and their first places."""
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    firsts = first[which.reshape(-1)]
    again = np.flatnonzero(firsts != np.arange(len(codes)))
    return again, firsts[again]


def copies_across(vectors: np.ndarray, splits: Sequence[np.ndarray]) -> Copies:
    """Find rows that are copies of rows in another split, exact ones and re-encoded ones.

    A vector is a copy if it equals one of another split, or if its distance to one is at most
    :data:`NEAR` *and* so small a part of what is usual between neighbours inside the largest
    split that, over all rows, fewer than :data:`ALARMS` would come as near by chance. What chance
    does follows from the dimension of the space around a vector: of neighbours at distance ``r``
    a share ``f ** dimension`` is nearer than ``f * r``.

    Where equal vectors are usual inside the largest split, they say nothing across splits.

    Args:
        vectors: float32 unit vectors ``(rows, dim)``.
        splits: indices ``(rows of a split,)`` of usable vectors, without overlap.
    """
    splits = sorted((rows for rows in splits if len(rows)), key=len)
    pairs: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, int), np.empty(0, int))]
    compared = total = 0
    if len(splits) < 2:
        return Copies(*pairs[0], 0, 0)
    codes = [row_codes_of(vectors, rows) for rows in splits]
    if len(repeats(codes[-1])[0]) > len(splits[-1]) / 2:
        return Copies(*pairs[0], 0, 0)
    usual = usual_distance(vectors, splits[-1])
    narrow = _projection(vectors.shape[1])
    width = vectors.shape[1] if narrow is None else NARROW
    budget = PRODUCTS // ((len(splits) - 1) * (width + OVERHEAD))
    for i, asked in enumerate(splits[:-1]):
        given = np.concatenate(splits[i + 1 :])
        partners = _equal(codes[i], np.concatenate(codes[i + 1 :]))
        chosen = even_sample(len(asked), max(1, budget // len(given)))
        if usual is not None:
            distances, places = nearest_distances(
                vectors[asked[chosen]], SelectedRows(vectors, given), projection=narrow
            )
            near = distances[:, 0] <= copy_distance(usual, len(asked), len(given))
            new = near & (partners[chosen] < 0)
            partners[chosen[new]] = places[new, 0]
        copied = np.flatnonzero(partners >= 0)
        pairs.append((asked[copied], given[partners[copied]]))
        compared, total = compared + len(chosen), total + len(asked)
    rows, others = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return Copies(rows, others, compared, total)


def row_codes_of(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return :func:`row_codes` of some rows without a copy of them all."""
    starts = range(0, len(rows), BLOCK_ROWS)
    parts = [row_codes(vectors[rows[start : start + BLOCK_ROWS]]) for start in starts]
    return np.concatenate(parts or [np.empty(0, np.int64)])


def copy_distance(usual: Usual, asked: int, given: int) -> float:
    """Return the distance up to which a vector is a copy, not a neighbour by chance."""
    by_chance = asked * LOW * max(1.0, given / usual.rows)
    share = min(NEARER, (ALARMS / by_chance) ** (1 / usual.dimension))
    return min(NEAR, share * usual.low)


def usual_distance(vectors: np.ndarray, rows: np.ndarray) -> Usual | None:
    """Measure the nearest-neighbour distances among rows; None for fewer than three vectors.

    The dimension follows from how much farther the second neighbour is (Facco et al. 2017,
    "Estimating the intrinsic dimension of datasets by a minimal neighborhood information") or from
    how the distances spread, whichever is more; clusters bias the first down, unlike densities the
    second. It is lowered by two standard errors.
    """
    affordable = PRODUCTS // 4 // (len(rows) * (vectors.shape[1] + OVERHEAD))
    chosen = even_sample(len(rows), max(50, min(SAMPLE, affordable)))
    others = SelectedRows(vectors, rows)
    distances, _ = nearest_distances(vectors[rows[chosen]], others, 2, one_excluded(chosen))
    distances = distances[(distances[:, 0] > SAME) & np.isfinite(distances[:, 1])]
    if len(distances) < 3:
        return None
    low, middle = np.quantile(distances[:, 0], [LOW, 0.5])
    by_ratio = np.log(2) / max(np.median(np.log(distances[:, 1] / distances[:, 0])), 1e-9)
    by_spread = np.log(np.log(0.5) / np.log(1 - LOW)) / max(np.log(middle / low), 1e-9)
    error = 2 / (np.log(2) * np.sqrt(len(distances)))
    dimension = min(max(by_ratio, by_spread) / (1 + error), max(1, vectors.shape[1] - 1))
    return Usual(float(low), float(dimension), len(rows))


def _projection(dim: int) -> np.ndarray | None:
    """Return a random orthonormal matrix ``(dim, NARROW)``; None where that saves little."""
    if dim <= 2 * NARROW:
        return None
    drawn = np.random.default_rng(0).normal(size=(dim, NARROW))
    return np.linalg.qr(drawn)[0].astype(np.float32)


def _equal(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the place in ``others`` of each code, -1 where it is not there."""
    values, first = np.unique(others, return_index=True)
    place = np.minimum(np.searchsorted(values, codes), len(values) - 1)
    return np.where(values[place] == codes, first[place], -1)
