"""Ranking metrics from the ties that hold relevant items, as expectations over tied orders.

Where scores tie, every metric is its expectation over all orders of the tied items (McSherry and
Najork 2008, "Computing information retrieval performance measures efficiently in the presence of
tied scores"), so a constant encoder scores exact chance. Pure functions: they know nothing of
vectors, modalities or files, and need only where relevant items stand, never a whole ranking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

CUTS = (1, 5, 10)
DEPTH = 10
METRICS = {
    "R@1": "share of queries with at least one relevant item at rank 1 (hit rate, success@1)",
    "R@5": "share of queries with at least one relevant item in the first 5 (success@5)",
    "R@10": "share of queries with at least one relevant item in the first 10 (success@10)",
    "P@10": "share of the first 10 that are relevant",
    "recall@10": "share of a query's relevant items that are in the first 10",
    "mAP": "mean average precision over the whole ranking",
    "MRR": "mean reciprocal rank of the first relevant item",
    "nDCG@10": "normalised discounted cumulative gain of the first 10; gains are the grades of "
    "the qrels, else 1; log2 discount",
    "median rank": "median over the queries of the rank of the first relevant item",
    "nAUC": "how well the best score of a query tells whether its average precision is high: area "
    "under mAP over the share of queries abstained from, least sure first, between that of "
    "abstaining at random (0) and by an oracle (1)",
}
PER_QUERY = tuple(name for name in METRICS if name != "nAUC")
BOUNDED = tuple(name for name in PER_QUERY if name != "median rank")  # means of values in [0, 1]


@dataclass(frozen=True)
class Ties:
    """Of some queries, each set of tied items that holds a relevant one, best first.

    Attributes:
        query: number of the query ``(ties,)``, ascending.
        before: items that score better ``(ties,)``.
        size: items that score the same ``(ties,)``.
        count: relevant ones among them ``(ties,)``.
        gain: sum of their grades ``(ties,)``.
        ideal: discounted gain of the best possible first :data:`DEPTH` of each query
            ``(queries,)``; queries without relevant items are not among them.
    """

    query: np.ndarray
    before: np.ndarray
    size: np.ndarray
    count: np.ndarray
    gain: np.ndarray
    ideal: np.ndarray

    def first(self) -> np.ndarray:
        """Return before, size and count ``(queries, 3)`` of each query's best tie."""
        index = np.searchsorted(self.query, np.arange(len(self.ideal)))
        return np.stack([self.before, self.size, self.count], 1)[index]

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of ``values`` ``(ties,)`` of each query ``(queries,)``."""
        return np.bincount(self.query, values, len(self.ideal))


def ideal_gain(grades: np.ndarray) -> float:
    """Return the discounted gain of grades ``(relevant,)`` in their best order."""
    best = np.sort(grades)[::-1][:DEPTH]
    return float((best * _discounts()[: len(best)]).sum())


def values(ties: Ties) -> dict[str, np.ndarray]:
    """Return each metric of :data:`PER_QUERY` ``(queries,)``; the median rank is a first rank."""
    before, size, count = (each.astype(np.float64) for each in (ties.before, ties.size, ties.count))
    total = ties.totals(count)
    above = count.cumsum() - count
    starts = np.searchsorted(ties.query, np.arange(len(ties.ideal)))
    found = above - above[starts[ties.query]] if len(above) else above
    within = count * np.clip(DEPTH - before, 0, size) / size
    reach = np.concatenate([[0.0], _discounts().cumsum()])
    upto, since = (np.minimum(DEPTH, e).astype(int) for e in (before + size, before))
    gained = ties.gain / size * (reach[upto] - reach[since])
    first = ties.first()
    metrics = {f"R@{cut}": hit(first, cut) for cut in CUTS}
    metrics[f"P@{DEPTH}"] = ties.totals(within) / DEPTH
    metrics[f"recall@{DEPTH}"] = ties.totals(within) / total
    metrics["mAP"] = ties.totals(_precision(before, size, count, found)) / total
    metrics["MRR"] = _reciprocal(first)
    metrics[f"nDCG@{DEPTH}"] = ties.totals(gained) / ties.ideal
    metrics["median rank"] = first_rank(first)
    return metrics


def hit(first: np.ndarray, cut: int) -> np.ndarray:
    """Return the chance of a relevant item within ``cut``, of best ties ``(queries, 3)``."""
    before, size, count = first.T.astype(np.float64)
    drawn = np.clip(cut - before, 0, size)
    miss = np.ones(len(first))
    for i in range(min(cut, int(drawn.max(initial=0)))):
        left = np.maximum(size - count - i, 0) / np.maximum(size - i, 1)
        miss *= np.where(i < drawn, left, 1.0)
    return 1 - miss


def first_rank(first: np.ndarray) -> np.ndarray:
    """Return the expected rank of the first relevant item, of best ties ``(queries, 3)``."""
    before, size, count = first.T.astype(np.float64)
    return before + (size + 1) / (count + 1)


def abstention(precision: np.ndarray, sure: np.ndarray, tie: float) -> float:
    """Return the normalised area under the abstention curve, 1 at best and 0 by chance.

    Gisserot-Boukhlef et al. 2024 (arXiv 2402.12997), with every share of abstentions in place of
    ten. Queries that are equally sure (within ``tie``) are taken in all orders. NaN where all
    queries do equally well, so that there is nothing to tell.

    Args:
        precision: the average precision of each query ``(queries,)``.
        sure: how sure the ranking is of each ``(queries,)``.
        tie: difference of ``sure`` up to which neighbours are equal.
    """
    if len(precision) < 2 or np.ptp(precision) < 1e-12:
        return float("nan")
    order = np.argsort(-sure, kind="stable")
    ordered, confident = precision[order], sure[order]
    group = np.append(0, (confident[:-1] - confident[1:] > tie).cumsum())
    fair = (np.bincount(group, ordered) / np.bincount(group))[group]
    kept = np.arange(1, len(precision) + 1)
    area = (fair.cumsum() / kept).mean()
    best = (np.sort(precision)[::-1].cumsum() / kept).mean()
    return float((area - precision.mean()) / (best - precision.mean()))


def _discounts() -> np.ndarray:
    return 1 / np.log2(np.arange(2, DEPTH + 2))


def _precision(
    before: np.ndarray, size: np.ndarray, count: np.ndarray, found: np.ndarray
) -> np.ndarray:
    """Return the expected sum of precisions at the relevant items of each tie ``(ties,)``.

    At offset o of a tie stands a relevant item with chance count / size, and below it are
    found + o (count - 1) / (size - 1) of them in the mean; the sum over o of
    (found + 1 + b o) / (before + 1 + o) has a closed form in harmonic numbers.
    """
    slope = (count - 1) / np.maximum(size - 1, 1)
    harmonic = digamma(before + size + 1) - digamma(before + 1)
    tied = count / size * (slope * size + (found + 1 - slope * (before + 1)) * harmonic)
    return np.where(size == 1, (found + 1) / (before + 1), tied)


def _reciprocal(first: np.ndarray) -> np.ndarray:
    """Return E[1 / rank] of the first relevant item, of best ties ``(queries, 3)``.

    The chance that the first is at place j of the tie is C(size - j, count - 1) / C(size, count);
    each follows from the one before. Queries with the same tie share the sum.
    """
    expected = 1.0 / (first[:, 0] + 1.0)
    open_ = first[:, 1] > first[:, 2]
    ties, which = np.unique(first[open_], axis=0, return_inverse=True)
    sums = np.empty(len(ties))
    for i, (before, size, count) in enumerate(ties):
        place = np.arange(1, int(size - count) + 2)
        ratio = (size - count - place[:-1] + 1) / (size - place[:-1])
        chance = count / size * np.concatenate([[1.0], np.cumprod(ratio)])
        sums[i] = (chance / (before + place)).sum()
    expected[open_] = sums[which.reshape(-1)]
    return expected
