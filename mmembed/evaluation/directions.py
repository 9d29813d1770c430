"""Retrieval between modalities: what is relevant, the scores, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from mmembed.evaluation.data_checks.answerable import Asked
from mmembed.evaluation.data_checks.data_fault import EXAMPLES
from mmembed.evaluation.items import Items, Notion
from mmembed.evaluation.qrels import Qrels
from mmembed.evaluation.retrieval.metrics import BOUNDED, abstention
from mmembed.evaluation.retrieval.relevance import Relevance, SameKey, Spans
from mmembed.evaluation.retrieval.retrieval import Retrieval, score
from mmembed.evaluation.retrieval.scoring import TIE
from mmembed.evaluation.statistics import (
    Interval,
    interval,
    mean_intervals,
    median_interval,
    resampled,
)

LAST_CUT = 100
CURVE_POINTS = 40
ABSTENTION_DRAWS = 400


@dataclass(frozen=True)
class Direction:
    """Retrieval from one modality to another under one notion of relevance.

    Attributes:
        relevance: ``label``, ``group``, ``stem`` or ``qrels``.
        query: modality of the queries.
        target: modality of the targets.
        judge: what is relevant to a query.
        result: the metrics, a value a query.
        clusters: integers ``(answerable,)``: queries of one group are one piece of evidence.
    """

    relevance: str
    query: str
    target: str
    judge: Relevance
    result: Retrieval
    clusters: np.ndarray

    @property
    def name(self) -> str:
        """``image → audio``."""
        return f"{self.query} → {self.target}"

    @property
    def targets(self) -> int:
        """Number of items that a query ranks, at most."""
        return int(self.result.targets.max(initial=0))

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Of each metric, where it lies with 95 % confidence; resampled when it is first asked."""
        return intervals(self.result, self.clusters)

    def to_dict(self) -> dict[str, Any]:
        """Return every number of the direction, JSON-ready but for NaN."""
        last = max(1, min(LAST_CUT, self.targets))
        cuts = np.unique(np.geomspace(1, last, CURVE_POINTS).astype(int))
        return {
            "relevance": self.relevance,
            "query": self.query,
            "target": self.target,
            "queries": len(self.result.queries),
            "clusters": len(np.unique(self.clusters)),
            "unanswerable": len(self.result.unanswerable),
            "targets": self.targets,
            "metrics": self.result.summary(),
            "intervals": {name: list(found) for name, found in self.intervals.items()},
            "chance": self.result.chance(),
            "recall_curve": {
                "k": cuts.tolist(),
                "R": self.result.recall_curve(cuts).tolist(),
                "chance": self.result.chance_curve(cuts).tolist(),
            },
            "first_ranks": self._histogram(),
        }

    def _histogram(self) -> dict[str, list[int]]:
        """Return how many queries have their first relevant item up to which rank."""
        upto = [1]
        while upto[-1] < self.targets:
            upto.append(min(2 * upto[-1], self.targets))
        bins = np.searchsorted(upto, np.floor(self.result.values["median rank"] + 1e-9))
        return {"upto": upto, "queries": np.bincount(bins, minlength=len(upto)).tolist()}


def score_directions(
    items: Items, notions: Sequence[Notion], qrels: Qrels | None, moments: bool
) -> tuple[list[Direction], list[Asked]]:
    """Score every ordered pair of modalities (one modality within itself, if it is alone).

    Returns the directions in which something is relevant, and of all of them how many queries
    have an answer.

    Args:
        items: what is scored.
        notions: by what files belong together.
        qrels: judgements, if there are any.
        moments: only what overlaps in time is relevant by a notion.
    """
    masks = {m: items.modality == m for m in items.modalities}
    parts = {m: items.select(mask) for m, mask in masks.items()}
    keys = {notion: items.keys(notion) for notion in notions}
    clusters = items.groups()
    found: dict[str, list[Direction]] = {name: [] for name in (*keys, "qrels")}
    asked: list[Asked] = []
    for query, target in list(permutations(parts, 2)) or [(m, m) for m in parts]:
        ours, theirs = parts[query], parts[target]
        spans = (Spans(ours.start, ours.end), Spans(theirs.start, theirs.end)) if moments else None
        judges: dict[str, Relevance] = {
            name: SameKey(codes[masks[query]], codes[masks[target]], spans)
            for name, codes in keys.items()
            if (codes[masks[query]] >= 0).any() and (codes[masks[target]] >= 0).any()
        }
        if qrels is not None:
            judges["qrels"] = qrels.between(ours, theirs)
        own = ours.own(theirs) if query == target else None
        results = score(ours.ranked, theirs.ranked, list(judges.values()), own)
        for (name, judge), result in zip(judges.items(), results, strict=True):
            if isinstance(judge, SameKey):
                lost = result.unanswerable[judge.queries[result.unanswerable] >= 0]
                known = len(lost) + len(result.queries)
                examples = [str(path) for path in ours.path[lost[:EXAMPLES]]]
                asked.append(Asked(f"{query} → {target}", name, known, len(lost), examples))
            if len(result.queries):
                asking = clusters[masks[query]][result.queries].astype(str)
                alike = np.unique(asking, return_inverse=True)[1]
                found[name].append(Direction(name, query, target, judge, result, alike))
    return [direction for part in found.values() for direction in part], asked


def intervals(result: Retrieval, clusters: np.ndarray) -> dict[str, Interval]:
    """Return the 95 % interval of each metric, by resampling the clusters of queries."""
    columns = np.stack([result.values[name] for name in BOUNDED], 1)
    found = dict(zip(BOUNDED, mean_intervals(columns, clusters), strict=True))
    found["median rank"] = median_interval(result.values["median rank"], clusters)
    precision, areas = result.values["mAP"], []
    for weights in resampled(clusters, ABSTENTION_DRAWS):
        for times in weights.astype(int):
            drawn = np.repeat(np.arange(len(times)), times)
            areas.append(abstention(precision[drawn], result.sure[drawn], TIE))
    found["nAUC"] = interval(np.array(areas), len(np.unique(clusters)))
    return found
