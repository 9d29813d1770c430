"""Which queries the report shows, with their first results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmembed.evaluation.findings import Direction
from mmembed.evaluation.items import Items
from mmembed.evaluation.retrieval import top

SHOWN = 4
RESULTS = 5


@dataclass(frozen=True)
class Shown:
    """An item in the gallery.

    Attributes:
        index: of the item.
        relevant: whether it answers its query; None for a query itself.
    """

    index: int
    relevant: bool | None = None


@dataclass(frozen=True)
class Example:
    """A query, how well it did, and its first results."""

    query: Shown
    precision: float
    results: list[Shown]


@dataclass(frozen=True)
class Gallery:
    """The worst and the best queries of one direction."""

    direction: Direction
    worst: list[Example]
    best: list[Example]


def choose(items: Items, direction: Direction) -> Gallery:
    """Return the queries of lowest and highest average precision of one direction.

    Among equals, queries of different labels come first, so that one hard class does not fill
    the page.
    """
    queries = np.flatnonzero(items.modality == direction.query)
    targets = np.flatnonzero(items.modality == direction.target)
    keys = items.keys(direction.relevance)
    precision = direction.result.values["mAP"]
    answered = queries[direction.result.queries]

    def examples(order: np.ndarray) -> list[Example]:
        chosen = _spread(order, keys[answered], SHOWN)
        same = direction.query == direction.target
        asked, given = items.select(answered[chosen]), items.select(targets)
        found = top(asked.ranked, given.ranked, RESULTS + same)
        shown = []
        for place, row in zip(chosen, found, strict=True):
            query = answered[place]
            hits = [targets[j] for j in row if targets[j] != query][:RESULTS]
            results = [Shown(int(t), bool(keys[t] == keys[query])) for t in hits]
            shown.append(Example(Shown(int(query)), float(precision[place]), results))
        return shown

    worst = np.argsort(precision, kind="stable")
    return Gallery(direction, examples(worst), examples(worst[::-1]))


def _spread(order: np.ndarray, keys: np.ndarray, count: int) -> np.ndarray:
    """Take the first of each key in ``order``, then repeat, until ``count`` are taken."""
    turn: dict[int, int] = {}
    ranked = []
    for rank, place in enumerate(order[: 50 * count]):
        key = int(keys[place])
        turn[key] = turn.get(key, 0) + 1
        ranked.append((turn[key], rank, int(place)))
    return np.array([place for _, _, place in sorted(ranked)[:count]], dtype=int)
