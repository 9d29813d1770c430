"""Two datasets of the same media side by side: what changed, whether it is more than chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmembed.evaluation.directions import Direction
from mmembed.evaluation.items import Items
from mmembed.evaluation.retrieval.metrics import BY_NAME, MAIN, MEANS
from mmembed.evaluation.space_geometry import neighbour_overlap
from mmembed.evaluation.statistics import (
    CONFIDENCE,
    Interval,
    holm,
    interval,
    randomisation_test,
    resampled_means,
)

MOVED = 5


@dataclass(frozen=True)
class Change:
    """The difference of one metric of one direction.

    Attributes:
        relevance, query, target, metric: what was scored.
        queries: number of queries that both have.
        value: the mean of the evaluated dataset, over those queries.
        other: the mean of the one it is compared with.
        interval: 95 % interval of their difference ``value - other``.
        p_value: of the paired randomisation test.
        adjusted: the same after Holm's correction for all tests of the comparison.
    """

    relevance: str
    query: str
    target: str
    metric: str
    queries: int
    value: float
    other: float
    interval: Interval
    p_value: float
    adjusted: float = float("nan")

    @property
    def real(self) -> bool:
        """Whether the difference is more than chance would give in 95 of 100 comparisons."""
        return self.adjusted < 1 - CONFIDENCE

    @property
    def better(self) -> bool:
        """Whether the metric is better here than of the other dataset, be it by chance."""
        return BY_NAME[self.metric].is_better(self.value, self.other)

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-ready but for NaN."""
        return {
            "relevance": self.relevance,
            "query": self.query,
            "target": self.target,
            "metric": self.metric,
            "queries": self.queries,
            "value": self.value,
            "other": self.other,
            "difference": self.value - self.other,
            "interval": list(self.interval),
            "p": self.p_value,
            "p_holm": self.adjusted,
            "real": self.real,
        }


@dataclass(frozen=True)
class Moved:
    """A query whose average precision changed much."""

    relevance: str
    direction: str
    path: str
    value: float
    other: float

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return vars(self).copy()


@dataclass(frozen=True)
class Comparison:
    """The evaluated dataset beside another.

    Attributes:
        other: the other dataset, as it was given.
        space: name of the space that made it.
        fingerprint: of that space.
        changes: by direction and metric.
        moved: of each direction, the queries that lost and that won most.
        overlap: by field, the mean share of common nearest neighbours.
        unmatched: queries of either that the other lacks.
    """

    other: str
    space: str
    fingerprint: str
    changes: list[Change]
    moved: list[Moved]
    overlap: dict[str, float]
    unmatched: int

    @property
    def sentence(self) -> str:
        """The changes in words."""
        tested = [c for c in self.changes if c.metric == MAIN]
        if not tested:
            return f"Nothing is scored in both this dataset and {self.other}."
        better = sum(c.real and c.better for c in tested)
        worse = sum(c.real and not c.better for c in tested)
        same = len(tested) - better - worse
        return (
            f"Against {self.other}, {MAIN} is better in {better} of {len(tested)} directions, "
            f"worse in {worse}, and not to be told apart in {same} "
            "(paired randomisation test, Holm)."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-ready but for NaN."""
        return {
            "other": self.other,
            "space": self.space,
            "fingerprint": self.fingerprint,
            "verdict": self.sentence,
            "changes": [change.to_dict() for change in self.changes],
            "moved": [moved.to_dict() for moved in self.moved],
            "neighbour_overlap": self.overlap,
            "unmatched": self.unmatched,
        }


def compare_directions(
    items: Items, directions: list[Direction], others: Items, other_directions: list[Direction]
) -> tuple[list[Change], list[Moved], int]:
    """Compare what both have: changes, the queries that moved most, and how many are unmatched."""
    known = {(d.relevance, d.query, d.target): d for d in other_directions}
    changes: list[Change] = []
    moved: list[Moved] = []
    unmatched = 0
    for here in directions:
        there = known.get((here.relevance, here.query, here.target))
        if there is None:
            continue
        names = _names(items, here)
        mine, theirs = _matched(names, _names(others, there))
        unmatched += len(here.result.queries) + len(there.result.queries) - 2 * len(mine)
        if not len(mine):
            continue
        clusters = here.clusters[mine]
        values = np.stack([here.result.values[m.name][mine] for m in MEANS], 1)
        before = np.stack([there.result.values[m.name][theirs] for m in MEANS], 1)
        changes += _changes(here, values, before, clusters)
        moved += _moved(here, names[mine], values, before)
    adjusted = holm(np.array([change.p_value for change in changes]))
    final = [
        replace(change, adjusted=float(p)) for change, p in zip(changes, adjusted, strict=True)
    ]
    return final, moved, unmatched


def overlaps(items: Items, others: Items) -> dict[str, float]:
    """Return, by field, the mean share of common nearest neighbours of the items of both."""
    shares = {}
    for field in items.fields:
        here = items.select(items.field == field)
        there = others.select(others.field == field)
        mine, theirs = _matched(here.names(), there.names())
        if len(mine) > 1:
            shares[field] = neighbour_overlap(here.vectors[mine], there.vectors[theirs])
    return shares


def _names(items: Items, direction: Direction) -> np.ndarray:
    """Return the names of the answerable queries of a direction."""
    part = items.select(items.field == direction.query)
    return part.names()[direction.result.queries]


def _matched(mine: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the same names in both ``(matched,)``."""
    place = {name: i for i, name in enumerate(theirs)}
    pairs = [(i, place[name]) for i, name in enumerate(mine) if name in place]
    rows = np.array(pairs, int).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _changes(
    here: Direction, values: np.ndarray, before: np.ndarray, clusters: np.ndarray
) -> list[Change]:
    differences = values - before
    count = len(np.unique(clusters))
    sampled = resampled_means(differences, clusters)
    return [
        Change(
            here.relevance,
            here.query,
            here.target,
            metric.name,
            len(values),
            float(values[:, i].mean()),
            float(before[:, i].mean()),
            interval(sampled[:, i], count),
            randomisation_test(differences[:, i], clusters),
        )
        for i, metric in enumerate(MEANS)
    ]


def _moved(
    here: Direction, names: np.ndarray, values: np.ndarray, before: np.ndarray
) -> list[Moved]:
    column = MEANS.index(BY_NAME[MAIN])
    now, then = values[:, column], before[:, column]
    order = np.argsort(now - then, kind="stable")
    lost = [i for i in order[:MOVED] if now[i] < then[i] - 1e-9]
    won = [i for i in order[::-1][:MOVED] if now[i] > then[i] + 1e-9]
    return [
        Moved(here.relevance, here.name, str(names[i]), float(now[i]), float(then[i]))
        for i in (*lost, *won)
    ]
