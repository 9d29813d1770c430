"""Ranking metrics of one direction, fair to ties, a block of queries at a time.

Pure functions over arrays: they know nothing of modalities, files or reports.

Where scores tie, every metric is its expectation over all orders of the tied items (McSherry and
Najork 2008, "Computing information retrieval performance measures efficiently in the presence of
tied scores"), so a constant encoder scores exact chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

CUTS = (1, 5, 10)
TIE = 1e-10
BLOCK_SCORES = 1 << 21
METRICS = {
    "R@1": "share of queries with a relevant item at rank 1",
    "R@5": "share of queries with a relevant item in the first 5",
    "R@10": "share of queries with a relevant item in the first 10",
    "mAP": "mean average precision over the whole ranking",
    "MRR": "mean reciprocal rank of the first relevant item",
    "nDCG@10": "normalised discounted cumulative gain of the first 10, binary gains, log2 discount",
    "median rank": "median over the queries of the rank of the first relevant item",
}


@dataclass(frozen=True)
class Retrieval:
    """The metrics of one direction, a value a query that has something relevant.

    Attributes:
        values: by metric, float64 ``(answerable,)``; ``median rank`` holds first ranks.
        queries: indices ``(answerable,)`` of the queries that have something relevant.
        unanswerable: number of queries with nothing relevant among the targets.
    """

    values: dict[str, np.ndarray]
    queries: np.ndarray
    unanswerable: int

    def mean(self, metric: str) -> float:
        """Return a metric over all answerable queries (the median, for the median rank)."""
        values = self.values[metric]
        if len(values) == 0:
            return float("nan")
        return float(np.median(values) if metric == "median rank" else values.mean())

    def summary(self) -> dict[str, float]:
        """Return every metric of :data:`METRICS`."""
        return {name: self.mean(name) for name in METRICS}


def score(
    queries: np.ndarray,
    targets: np.ndarray,
    query_keys: np.ndarray,
    target_keys: np.ndarray,
    same: bool = False,
) -> Retrieval:
    """Rank targets by cosine for each query and return the metrics.

    Args:
        queries: unit vectors ``(queries, dim)``.
        targets: unit vectors ``(targets, dim)``.
        query_keys: integers ``(queries,)``; a target of the same key is relevant. -1 is unknown
            and relevant to nothing.
        target_keys: integers ``(targets,)``.
        same: queries and targets are the same items, and an item is never its own answer.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    answered = []
    for start, scores in score_blocks(queries, targets, same):
        keys = query_keys[start : start + len(scores)]
        relevant = (keys[:, None] == target_keys) & (keys[:, None] >= 0) & np.isfinite(scores)
        has = relevant.any(1)
        answered.append(start + np.flatnonzero(has))
        for name, values in rank_metrics(scores[has], relevant[has]).items():
            columns[name].append(values)
    joined = {name: np.concatenate(parts or [np.empty(0)]) for name, parts in columns.items()}
    index = np.concatenate(answered or [np.empty(0, int)])
    return Retrieval(joined, index, len(queries) - len(index))


def score_blocks(
    queries: np.ndarray, targets: np.ndarray, same: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``(first query, scores (block, targets))`` of float64, rounded to :data:`TIE`.

    Equal vectors get equal scores, whatever order the additions were done in. With ``same``, an
    item's score for itself is minus infinity.
    """
    wide = targets.astype(np.float64).T
    size = max(1, BLOCK_SCORES // max(1, len(targets)))
    for start in range(0, len(queries), size):
        scores = queries[start : start + size].astype(np.float64) @ wide
        scores = np.round(scores / TIE) * TIE
        if same:
            rows = np.arange(len(scores))
            scores[rows, start + rows] = -np.inf
        yield start, scores


def rank_metrics(scores: np.ndarray, relevant: np.ndarray) -> dict[str, np.ndarray]:
    """Return each metric ``(queries,)`` of scores and relevance ``(queries, targets)``.

    Every query needs something relevant. Items whose score is minus infinity count as absent.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, 1)
    hits = np.take_along_axis(relevant, order, 1).astype(np.float64)
    queries, targets = hits.shape
    if queries == 0:
        return {name: np.empty(0) for name in METRICS}
    position = np.arange(targets)
    starts = np.ones_like(ranked, bool)
    starts[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    before = np.maximum.accumulate(np.where(starts, position, 0), 1)
    ends = np.ones_like(starts)
    ends[:, :-1] = starts[:, 1:]
    last = np.minimum.accumulate(np.where(ends, position, targets)[:, ::-1], 1)[:, ::-1]
    tied = last - before + 1
    cumulative = np.concatenate([np.zeros((queries, 1)), hits.cumsum(1)], 1)
    found_before = np.take_along_axis(cumulative, before, 1)
    in_tie = np.take_along_axis(cumulative, last + 1, 1) - found_before
    total = cumulative[:, -1]
    share = in_tie / tied
    offset = position - before
    expected = found_before + 1 + offset * (in_tie - 1) / np.maximum(tied - 1, 1)
    metrics = {"mAP": (share * expected / (position + 1)).sum(1) / total}
    discount = 1 / np.log2(position[:10] + 2)
    ideal = np.concatenate([[0.0], discount.cumsum()])
    metrics["nDCG@10"] = (share[:, :10] * discount).sum(1) / ideal[
        np.minimum(total.astype(int), len(discount))
    ]
    first = np.argmax(in_tie > 0, axis=1)
    rows = np.arange(queries)
    start, size, count = first, tied[rows, first], in_tie[rows, first]
    metrics["median rank"] = start + (size + 1) / (count + 1)
    metrics["MRR"] = _reciprocal(start, size, count)
    for cut in CUTS:
        metrics[f"R@{cut}"] = _hit(start, size, count, cut)
    return metrics


def _reciprocal(start: np.ndarray, size: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return E[1 / rank] of the first of ``count`` among ``size`` tied items after ``start``."""
    expected = 1.0 / (start + 1)
    for i in np.flatnonzero((size > 1) & (count < size)):
        j = np.arange(1, int(size[i] - count[i]) + 2)
        chance = np.exp(_choose(size[i] - j, count[i] - 1) - _choose(size[i], count[i]))
        expected[i] = (chance / (start[i] + j)).sum()
    return expected


def _hit(start: np.ndarray, size: np.ndarray, count: np.ndarray, cut: int) -> np.ndarray:
    """Return the chance that one of ``count`` among ``size`` tied items ranks within ``cut``."""
    drawn = np.clip(cut - start, 0, size)
    irrelevant = size - count
    possible = drawn <= irrelevant
    miss = np.exp(_choose(irrelevant, np.where(possible, drawn, 0)) - _choose(size, drawn))
    return np.where(possible, 1 - miss, 1.0)


def _choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def top(queries: np.ndarray, targets: np.ndarray, count: int, same: bool = False) -> np.ndarray:
    """Return indices ``(queries, count)`` of the best targets, best first, ties by index."""
    count = min(count, len(targets) - same)
    found = [
        np.argsort(-scores, axis=1, kind="stable")[:, :count]
        for _, scores in score_blocks(queries, targets, same)
    ]
    return np.concatenate(found) if found else np.empty((0, count), int)
