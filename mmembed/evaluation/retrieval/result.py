"""The metrics of one direction, a value a query, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.evaluation.retrieval.metrics import BY_NAME, METRICS, values
from mmembed.evaluation.retrieval.rank_metrics import hit
from mmembed.evaluation.retrieval.ties import Ties
from mmembed.evaluation.statistics import Interval


@dataclass(frozen=True)
class Retrieval:
    """The metrics of one direction, a value a query that has something relevant.

    Attributes:
        values: by the name of a metric, float64 ``(answerable,)``.
        queries: indices ``(answerable,)`` of the queries that have something relevant.
        unanswerable: indices of the queries with nothing relevant among the targets.
        relevant: number of relevant targets ``(answerable,)`` of each query.
        targets: number of items that each query ranks ``(answerable,)``.
        first: of each query's best tie that holds a relevant item, the number of items before it,
            its size and its relevant items ``(answerable, 3)``.
        sure: the best score of each query ``(answerable,)``.
        gain: sum of the grades ``(answerable,)``, and of the discounted best of them.
    """

    values: dict[str, np.ndarray]
    queries: np.ndarray
    unanswerable: np.ndarray
    relevant: np.ndarray
    targets: np.ndarray
    first: np.ndarray
    sure: np.ndarray
    gain: tuple[np.ndarray, np.ndarray]

    def mean(self, metric: str) -> float:
        """Return a metric of :data:`METRICS` by its name, over all answerable queries."""
        if len(self.queries) == 0:
            return float("nan")
        return BY_NAME[metric].aggregate.of(self.values[metric], self.sure)

    def summary(self) -> dict[str, float]:
        """Return every metric of :data:`METRICS`, by name."""
        return {metric.name: self.mean(metric.name) for metric in METRICS}

    def intervals(self, clusters: np.ndarray) -> dict[str, Interval]:
        """Return the 95 % interval of each metric, by resampling clusters of queries.

        Args:
            clusters: integers ``(answerable,)``; queries of one cluster are drawn together.
        """
        intervals: dict[str, Interval] = {}
        for aggregate in dict.fromkeys(metric.aggregate for metric in METRICS):
            names = [metric.name for metric in METRICS if metric.aggregate is aggregate]
            columns = np.stack([self.values[name] for name in names], 1)
            each = aggregate.intervals(columns, self.sure, clusters)
            intervals |= dict(zip(names, each, strict=True))
        return {metric.name: intervals[metric.name] for metric in METRICS}

    def chance(self) -> dict[str, float]:
        """Return what an encoder that gives every file the same vector would score."""
        if len(self.queries) == 0:
            return {metric.name: float("nan") for metric in METRICS}
        nothing = np.zeros(len(self.queries), int)
        number = np.arange(len(self.queries))
        gain, ideal = self.gain
        ties = Ties(number, nothing, self.targets, self.relevant, gain, ideal)
        random = Retrieval(
            values(ties),
            self.queries,
            self.unanswerable,
            self.relevant,
            self.targets,
            ties.first,
            nothing.astype(float),
            self.gain,
        )
        return random.summary()

    def recall_curve(self, cuts: np.ndarray) -> np.ndarray:
        """Return R@k ``(cuts,)`` for each k of ``cuts``."""
        return np.array([hit(self.first, int(cut)).mean() for cut in cuts])

    def chance_curve(self, cuts: np.ndarray) -> np.ndarray:
        """Return what :meth:`chance` would give of :meth:`recall_curve`."""
        blind = np.stack([np.zeros(len(self.queries)), self.targets, self.relevant], 1)
        kinds, count = np.unique(blind, axis=0, return_counts=True)
        return np.array([hit(kinds, int(cut)) @ count for cut in cuts]) / count.sum()


def joined(parts: Sequence[list[Retrieval]]) -> list[Retrieval]:
    """Return the results of blocks of queries as one, under each notion of relevance."""
    return [_one(each) for each in zip(*parts, strict=True)]


def _one(parts: Sequence[Retrieval]) -> Retrieval:
    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    gain, ideal = (np.concatenate([part.gain[i] for part in parts]) for i in (0, 1))
    names = [metric.name for metric in METRICS]
    return Retrieval(
        {name: np.concatenate([part.values[name] for part in parts]) for name in names},
        column("queries"),
        column("unanswerable"),
        column("relevant"),
        column("targets"),
        column("first"),
        column("sure"),
        (gain, ideal),
    )
