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

CUTS = (1, 5, 10)
TIE = 1e-12  # scores nearer than this are equal: what float64 sums of unit vectors can differ by
BLOCK_SCORES = 1 << 21
METRICS = {
    "R@1": "share of queries with at least one relevant item at rank 1 (hit rate, success@1)",
    "R@5": "share of queries with at least one relevant item in the first 5 (success@5)",
    "R@10": "share of queries with at least one relevant item in the first 10 (success@10)",
    "mAP": "mean average precision over the whole ranking",
    "MRR": "mean reciprocal rank of the first relevant item",
    "nDCG@10": "normalised discounted cumulative gain of the first 10, binary gains, log2 discount",
    "median rank": "median over the queries of the rank of the first relevant item",
}


@dataclass(frozen=True)
class Bags:
    """Items of one or more unit vectors; two items score the best of all their pairs.

    Attributes:
        vectors: float32 ``(rows, dim)``, the rows of an item one after the other.
        starts: int ``(items,)``, ascending: the first row of each item.
    """

    vectors: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def ends(self) -> np.ndarray:
        """The row after the last of each item ``(items,)``."""
        return np.append(self.starts[1:], len(self.vectors))


Ranked = np.ndarray | Bags


@dataclass(frozen=True)
class Retrieval:
    """The metrics of one direction, a value a query that has something relevant.

    Attributes:
        values: by metric, float64 ``(answerable,)``; ``median rank`` holds first ranks.
        queries: indices ``(answerable,)`` of the queries that have something relevant.
        unanswerable: number of queries with nothing relevant among the targets.
        relevant: number of relevant targets ``(answerable,)`` of each query.
        targets: number of items that a query ranks.
    """

    values: dict[str, np.ndarray]
    queries: np.ndarray
    unanswerable: int
    relevant: np.ndarray
    targets: int

    def mean(self, metric: str) -> float:
        """Return a metric over all answerable queries (the median, for the median rank)."""
        values = self.values[metric]
        if len(values) == 0:
            return float("nan")
        return float(np.median(values) if metric == "median rank" else values.mean())

    def summary(self) -> dict[str, float]:
        """Return every metric of :data:`METRICS`."""
        return {name: self.mean(name) for name in METRICS}

    def chance(self) -> dict[str, float]:
        """Return what an encoder that gives every file the same vector would score."""
        if len(self.queries) == 0:
            return dict.fromkeys(METRICS, float("nan"))
        counts, which = np.unique(self.relevant, return_inverse=True)
        each: dict[str, list[float]] = {name: [] for name in METRICS}
        for count in counts:
            relevant = np.arange(self.targets)[None] < count
            for name, value in rank_metrics(np.zeros((1, self.targets)), relevant).items():
                each[name].append(float(value[0]))
        values = {name: np.array(found)[which] for name, found in each.items()}
        random = Retrieval(values, self.queries, self.unanswerable, self.relevant, self.targets)
        return random.summary()


def score(
    queries: Ranked,
    targets: Ranked,
    query_keys: np.ndarray,
    target_keys: np.ndarray,
    same: bool = False,
) -> Retrieval:
    """Rank targets by cosine for each query and return the metrics.

    Args:
        queries: unit vectors ``(queries, dim)``, or bags of them.
        targets: unit vectors ``(targets, dim)``, or bags of them.
        query_keys: integers ``(queries,)``; a target of the same key is relevant. -1 is unknown
            and relevant to nothing.
        target_keys: integers ``(targets,)``.
        same: queries and targets are the same items, and an item is never its own answer.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    answered, counts = [], []
    for start, scores in score_blocks(queries, targets, same):
        keys = query_keys[start : start + len(scores)]
        relevant = (keys[:, None] == target_keys) & (keys[:, None] >= 0) & np.isfinite(scores)
        has = relevant.any(1)
        counts.append(relevant[has].sum(1))
        answered.append(start + np.flatnonzero(has))
        for name, values in rank_metrics(scores[has], relevant[has]).items():
            columns[name].append(values)
    joined = {name: np.concatenate(parts or [np.empty(0)]) for name, parts in columns.items()}
    index = np.concatenate(answered or [np.empty(0, int)])
    total = np.concatenate(counts or [np.empty(0, int)])
    return Retrieval(joined, index, len(queries) - len(index), total, len(targets) - same)


def score_blocks(
    queries: Ranked, targets: Ranked, same: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``(first query, scores (block, targets))`` of float64.

    With ``same``, an item's score for itself is minus infinity.
    """
    asked, given = _bags(queries), _bags(targets)
    wide = given.vectors.astype(np.float64).T
    pooled = len(given) < len(given.vectors)
    size = max(1, BLOCK_SCORES // max(1, len(given.vectors)))
    ends = asked.ends
    for start in range(0, len(asked), size):
        stop = min(start + size, len(asked))
        first = asked.starts[start]
        scores = asked.vectors[first : ends[stop - 1]].astype(np.float64) @ wide
        if pooled:
            scores = np.maximum.reduceat(scores, given.starts, axis=1)
        if stop - start < len(scores):
            scores = np.maximum.reduceat(scores, asked.starts[start:stop] - first, axis=0)
        if same:
            rows = np.arange(len(scores))
            scores[rows, start + rows] = -np.inf
        yield start, scores


def _bags(items: Ranked) -> Bags:
    return items if isinstance(items, Bags) else Bags(items, np.arange(len(items)))


def rank_metrics(scores: np.ndarray, relevant: np.ndarray) -> dict[str, np.ndarray]:
    """Return each metric ``(queries,)`` of scores and relevance ``(queries, targets)``.

    Every query needs something relevant. Scores within :data:`TIE` of the next tie. Items whose
    score is minus infinity count as absent.
    """
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, 1)
    hits = np.take_along_axis(relevant, order, 1).astype(np.float64)
    queries, targets = hits.shape
    if queries == 0:
        return {name: np.empty(0) for name in METRICS}
    position = np.arange(targets)
    starts = np.ones_like(ranked, bool)
    starts[:, 1:] = ranked[:, :-1] - ranked[:, 1:] > TIE
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
    """Return E[1 / rank] of the first of ``count`` among ``size`` tied items after ``start``.

    The chance that the first is at place j of the tie is C(size - j, count - 1) / C(size, count);
    each follows from the one before. Queries with the same tie share the sum.
    """
    ties, which = np.unique(np.stack([start, size, count], 1), axis=0, return_inverse=True)
    expected = np.empty(len(ties))
    for i, (before, tied, relevant) in enumerate(ties):
        place = np.arange(1, int(tied - relevant) + 2)
        ratio = (tied - relevant - place[:-1] + 1) / (tied - place[:-1])
        chance = relevant / tied * np.concatenate([[1.0], np.cumprod(ratio)])
        expected[i] = (chance / (before + place)).sum()
    return expected[which.reshape(-1)]


def _hit(start: np.ndarray, size: np.ndarray, count: np.ndarray, cut: int) -> np.ndarray:
    """Return the chance that one of ``count`` among ``size`` tied items ranks within ``cut``."""
    drawn = np.clip(cut - start, 0, size)
    miss = np.ones(len(start))
    for i in range(cut):
        left = np.maximum(size - count - i, 0) / np.maximum(size - i, 1)
        miss *= np.where(i < drawn, left, 1.0)
    return 1 - miss


def top(queries: Ranked, targets: Ranked, count: int, same: bool = False) -> np.ndarray:
    """Return indices ``(queries, count)`` of the best targets, best first, ties by index."""
    count = min(count, len(targets) - same)
    found = [
        np.argsort(-scores, axis=1, kind="stable")[:, :count]
        for _, scores in score_blocks(queries, targets, same)
    ]
    return np.concatenate(found) if found else np.empty((0, count), int)
