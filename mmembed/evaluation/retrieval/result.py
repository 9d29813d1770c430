"""The metrics of one direction, a value a query, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.evaluation.retrieval.metrics import METRICS, PER_QUERY, Ties, abstention, hit, values
from mmembed.evaluation.retrieval.scoring import TIE


@dataclass(frozen=True)
class Retrieval:
    """The metrics of one direction, a value a query that has something relevant.

    Attributes:
        values: by metric of :data:`PER_QUERY`, float64 ``(answerable,)``.
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
        """Return a metric over all answerable queries (the median, for the median rank)."""
        if len(self.queries) == 0:
            return float("nan")
        if metric == "nAUC":
            return abstention(self.values["mAP"], self.sure, TIE)
        found = self.values[metric]
        return float(np.median(found) if metric == "median rank" else found.mean())

    def summary(self) -> dict[str, float]:
        """Return every metric of :data:`METRICS`."""
        return {name: self.mean(name) for name in METRICS}

    def chance(self) -> dict[str, float]:
        """Return what an encoder that gives every file the same vector would score."""
        if len(self.queries) == 0:
            return dict.fromkeys(METRICS, float("nan"))
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
            ties.first(),
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
    return Retrieval(
        {name: np.concatenate([part.values[name] for part in parts]) for name in PER_QUERY},
        column("queries"),
        column("unanswerable"),
        column("relevant"),
        column("targets"),
        column("first"),
        column("sure"),
        (gain, ideal),
    )
