"""Retrieval between fields: relevance, scores and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from mmembed.evaluation.data_checks.answerable import QueryCount
from mmembed.evaluation.data_checks.data_fault import EXAMPLES
from mmembed.evaluation.items import Items, Notion
from mmembed.evaluation.qrels import Qrels
from mmembed.evaluation.retrieval.relevance import Relevance, SameKey, Spans
from mmembed.evaluation.retrieval.result import Retrieval
from mmembed.evaluation.retrieval.retrieval import score
from mmembed.evaluation.statistics import Interval

LAST_CUT = 100
CURVE_POINTS = 40


@dataclass(frozen=True)
class Direction:
    """Retrieval from one field to another under one notion of relevance.

    Attributes:
        relevance: ``label``, ``group``, ``stem`` or ``qrels``.
        query: field of the queries.
        target: field of the targets.
        relevant: the targets that are relevant to each query.
        result: the metrics, a value a query.
        clusters: integers ``(answerable,)``: queries of one group are one piece of evidence.
    """

    relevance: str
    query: str
    target: str
    relevant: Relevance
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
        """The 95 % interval of each metric, resampled when it is first asked for."""
        return self.result.intervals(self.clusters)

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
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
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
) -> tuple[list[Direction], list[QueryCount]]:
    """Score every ordered pair of fields (one field within itself, if it is alone).

    Returns the directions in which something is relevant, and of all of them how many queries
    have an answer.

    Args:
        items: what is scored.
        notions: what says that files belong together.
        qrels: judgements, if there are any.
        moments: only what overlaps in time is relevant by a notion.
    """
    masks = {name: items.field == name for name in items.fields}
    parts = {name: items.select(mask) for name, mask in masks.items()}
    keys = {notion: items.relevance_keys(notion) for notion in notions}
    clusters = items.groups()
    directions: dict[str, list[Direction]] = {name: [] for name in (*keys, "qrels")}
    counts: list[QueryCount] = []
    for query, target in list(permutations(parts, 2)) or [(name, name) for name in parts]:
        ours, theirs = parts[query], parts[target]
        spans = (Spans(ours.start, ours.end), Spans(theirs.start, theirs.end)) if moments else None
        relevances: dict[str, Relevance] = {}
        for notion, codes in keys.items():
            asked, given = codes.select(masks[query]), codes.select(masks[target])
            if asked.counts.any() and given.counts.any():
                relevances[notion] = SameKey(asked, given, spans)
        if qrels is not None:
            relevances["qrels"] = qrels.between(ours, theirs)
        own = ours.own(theirs) if query == target else None
        results = score(ours.ranked, theirs.ranked, list(relevances.values()), own)
        for (basis, relevant), result in zip(relevances.items(), results, strict=True):
            if isinstance(relevant, SameKey):
                lost = result.unanswerable[relevant.known[result.unanswerable]]
                known = len(lost) + len(result.queries)
                examples = [str(path) for path in ours.path[lost[:EXAMPLES]]]
                counts.append(QueryCount(f"{query} → {target}", basis, known, len(lost), examples))
            if len(result.queries):
                asking = clusters[masks[query]][result.queries].astype(str)
                alike = np.unique(asking, return_inverse=True)[1]
                directions[basis].append(Direction(basis, query, target, relevant, result, alike))
    return [direction for part in directions.values() for direction in part], counts
