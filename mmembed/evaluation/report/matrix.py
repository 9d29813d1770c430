"""Scores at a glance for the page: tiles, a matrix of each metric, and changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mmembed.evaluation.compare import Change
from mmembed.evaluation.results import PROBE
from mmembed.evaluation.retrieval.metrics import BY_NAME, MAIN
from mmembed.evaluation.tables import number, span


@dataclass(frozen=True)
class Cell:
    """One score.

    Attributes:
        value: as it is shown.
        interval: where it lies with 95 % confidence, as it is shown.
        chance: what no knowledge gives, as it is shown.
        queries: number of queries that it is the mean of.
        lift: share of the way from chance (0) to perfect (1); shades the cell.
    """

    value: str
    interval: str
    chance: str
    queries: int
    lift: float


@dataclass(frozen=True)
class Matrix:
    """The table query × target of one metric under one notion of relevance."""

    relevance: str
    metric: str
    queries: list[str]
    targets: list[str]
    cells: dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Tile:
    """One number that stands at the top of the page.

    Attributes:
        name: what it is.
        of: the direction or field.
        value: as it is shown.
        interval: likewise.
        level: the value, 0 to 1.
        chance: what no knowledge gives, 0 to 1.
    """

    name: str
    of: str
    value: str
    interval: str
    level: float
    chance: float


@dataclass(frozen=True)
class Shift:
    """A change, and where its difference and interval lie on an axis from -1 to 1.

    The axis is the same for all changes of one metric.
    """

    change: Change
    low: float
    middle: float
    high: float


def matrices(numbers: dict[str, Any]) -> list[Matrix]:
    """Return a matrix a notion of relevance and metric, of ``Evaluation.to_dict()``."""
    made = []
    for relevance in dict.fromkeys(r["relevance"] for r in numbers["retrieval"]):
        rows = [r for r in numbers["retrieval"] if r["relevance"] == relevance]
        present = {r[end] for r in rows for end in ("query", "target")}
        names = [m for m in numbers["counts"] if m in present]
        for metric in numbers["metrics"]:
            cells = {(r["query"], r["target"]): _cell(r, metric) for r in rows}
            queries = [m for m in names if any(q == m for q, _ in cells)]
            targets = [m for m in names if any(t == m for _, t in cells)]
            made.append(Matrix(relevance, metric, queries, targets, cells))
    return made


def tiles(numbers: dict[str, Any]) -> list[Tile]:
    """Return the weakest direction under each notion, and the probe of each field."""
    made = []
    for relevance in dict.fromkeys(r["relevance"] for r in numbers["retrieval"]):
        rows = [r for r in numbers["retrieval"] if r["relevance"] == relevance]
        row = min(rows, key=lambda r: r["metrics"][MAIN])
        place = ("lowest: " if len(rows) > 1 else "") + f"{row['query']} → {row['target']}"
        made.append(_tile(f"{MAIN} by {relevance}", place, row, MAIN, row["chance"][MAIN]))
    for row in numbers["classification"]:
        if row["method"] == PROBE:
            made.append(_tile(PROBE, row["modality"], row, "accuracy", row["chance"]))
    return made


def shifts(changes: list[Change]) -> list[Shift]:
    """Return changes with their places on an axis a metric."""
    widest: dict[str, float] = {}
    for each in changes:
        for bound in (*each.interval, each.value - each.other):
            if math.isfinite(bound):
                widest[each.metric] = max(abs(bound), widest.get(each.metric, 1e-9))
    made = []
    for each in changes:
        middle = each.value - each.other
        places = (end if math.isfinite(end) else middle for end in (*each.interval, middle))
        low, high, middle = (place / widest[each.metric] for place in places)
        made.append(Shift(each, low, middle, high))
    return made


def _tile(name: str, of: str, row: dict[str, Any], metric: str, chance: float) -> Tile:
    value = row["metrics"][metric]
    bounds = span(row["intervals"].get(metric))
    return Tile(name, of, number(value), bounds, _bounded(value), _bounded(chance))


def _cell(row: dict[str, Any], metric: str) -> Cell:
    value, chance = row["metrics"][metric], row["chance"][metric]
    bounds = span(row["intervals"].get(metric))
    lift = _lift(metric, value, chance)
    return Cell(number(value), bounds, number(chance), row["queries"], lift)


def _lift(metric: str, value: float, chance: float) -> float:
    """Return the share of the way from chance to perfect; of ranks by their logarithm."""
    if BY_NAME[metric].better == "lower":
        ranks = value >= 1 and chance > 1
        return _bounded(1 - math.log(value) / math.log(chance)) if ranks else 0.0
    lowest = chance if chance == chance else 0.0
    return _bounded((value - lowest) / max(1 - lowest, 1e-9))


def _bounded(value: float) -> float:
    return min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0
