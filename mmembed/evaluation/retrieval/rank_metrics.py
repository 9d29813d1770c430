"""Metrics of each query from the ties that hold relevant items, as expectations over tied orders.

Where scores tie, every metric is its expectation over all orders of the tied items (McSherry and
Najork 2008, "Computing information retrieval performance measures efficiently in the presence of
tied scores"), so a constant encoder scores exact chance. Pure functions: they know nothing of
vectors, modalities or files, and need only the ranks of relevant items, never a whole ranking.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

from mmembed.evaluation.retrieval.ties import DEPTH, Ties, discounts


def hit_rate(ties: Ties, cut: int) -> np.ndarray:
    """Return the chance of a relevant item within ``cut`` of each query ``(queries,)``."""
    return hit(ties.first, cut)


def hit(first: np.ndarray, cut: int) -> np.ndarray:
    """Return the chance of a relevant item within ``cut``, of best ties ``(queries, 3)``."""
    before, size, count = first.T.astype(np.float64)
    drawn = np.clip(cut - before, 0, size)
    miss = np.ones(len(first))
    for i in range(min(cut, int(drawn.max(initial=0)))):
        left = np.maximum(size - count - i, 0) / np.maximum(size - i, 1)
        miss *= np.where(i < drawn, left, 1.0)
    return 1 - miss


def precision(ties: Ties) -> np.ndarray:
    """Return the share of the first :data:`DEPTH` that are relevant ``(queries,)``."""
    return ties.totals(_within(ties)) / DEPTH


def recall(ties: Ties) -> np.ndarray:
    """Return the share of the relevant items that are in the first :data:`DEPTH` ``(queries,)``."""
    return ties.totals(_within(ties)) / ties.relevant


def average_precision(ties: Ties) -> np.ndarray:
    """Return the mean of the precisions at the relevant items ``(queries,)``.

    At offset o of a tie stands a relevant item with chance count / size, and below it are
    relevant_before + o (count - 1) / (size - 1) of them in the mean; the sum over o of
    (relevant_before + 1 + b o) / (before + 1 + o) has a closed form in harmonic numbers.
    """
    before, size, count = (each.astype(np.float64) for each in (ties.before, ties.size, ties.count))
    above = ties.relevant_before
    slope = (count - 1) / np.maximum(size - 1, 1)
    harmonic = digamma(before + size + 1) - digamma(before + 1)
    tied = count / size * (slope * size + (above + 1 - slope * (before + 1)) * harmonic)
    sums = np.where(size == 1, (above + 1) / (before + 1), tied)
    return ties.totals(sums) / ties.relevant


def reciprocal_rank(ties: Ties) -> np.ndarray:
    """Return E[1 / rank] of the first relevant item ``(queries,)``.

    The chance that the first is at place j of the tie is C(size - j, count - 1) / C(size, count);
    each follows from the one before. Queries with the same tie share the sum.
    """
    first = ties.first
    expected = 1.0 / (first[:, 0] + 1.0)
    several = first[:, 1] > first[:, 2]
    different, which = np.unique(first[several], axis=0, return_inverse=True)
    sums = np.empty(len(different))
    for i, (before, size, count) in enumerate(different):
        place = np.arange(1, int(size - count) + 2)
        ratio = (size - count - place[:-1] + 1) / (size - place[:-1])
        chance = count / size * np.concatenate([[1.0], np.cumprod(ratio)])
        sums[i] = (chance / (before + place)).sum()
    expected[several] = sums[which.reshape(-1)]
    return expected


def discounted_gain(ties: Ties) -> np.ndarray:
    """Return the discounted gain of the first :data:`DEPTH`, over the best possible one."""
    before, size = ties.before.astype(np.float64), ties.size.astype(np.float64)
    reach = np.concatenate([[0.0], discounts().cumsum()])
    upto, since = (np.minimum(DEPTH, e).astype(int) for e in (before + size, before))
    return ties.totals(ties.gain / size * (reach[upto] - reach[since])) / ties.ideal


def first_rank(ties: Ties) -> np.ndarray:
    """Return the expected rank of the first relevant item ``(queries,)``, from 1."""
    before, size, count = ties.first.T.astype(np.float64)
    return before + (size + 1) / (count + 1)


def _within(ties: Ties) -> np.ndarray:
    """Return the expected number of relevant items of each tie in the first :data:`DEPTH`."""
    before, size, count = (each.astype(np.float64) for each in (ties.before, ties.size, ties.count))
    return count * np.clip(DEPTH - before, 0, size) / size
