"""Queries that the report shows, with their first results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mmembed.evaluation.compare import Comparison
from mmembed.evaluation.directions import Direction
from mmembed.evaluation.items import Items
from mmembed.evaluation.retrieval.metrics import MAIN
from mmembed.neighbors.exact import top_k

SHOWN = 4
RESULTS = 5
LISTS = {
    "confused": "the first result is wrong, yet its score is high",
    "worst": "lowest average precision",
    "best": "highest average precision",
    "lost": "average precision fell most",
    "won": "average precision rose most",
}


@dataclass(frozen=True)
class Result:
    """An item among the first results of a query.

    Attributes:
        index: of the item.
        score: its cosine with the query.
        grade: how relevant it is; 0 if it is not.
    """

    index: int
    score: float
    grade: float

    @property
    def relevant(self) -> bool:
        """Whether it answers the query."""
        return self.grade > 0


@dataclass(frozen=True)
class Example:
    """A query, its average precision, and its first results.

    Attributes:
        query: index of the item.
        precision: its average precision.
        first_rank: where its first relevant item stands, from 1.
        relevant: how many are relevant.
        targets: how many it ranks.
        results: the first of them, best first.
        before: its average precision in the dataset that is compared with.
    """

    query: int
    precision: float
    first_rank: float
    relevant: int
    targets: int
    results: list[Result]
    before: float | None = None


@dataclass(frozen=True)
class Gallery:
    """Queries of one direction, by the name of their list (of :data:`LISTS`)."""

    direction: Direction
    lists: dict[str, list[Example]] = field(default_factory=dict)

    @property
    def examples(self) -> list[Example]:
        """The queries of all lists."""
        return [example for examples in self.lists.values() for example in examples]


def choose(items: Items, direction: Direction) -> Gallery:
    """Return the queries that are surely wrong, and those of lowest and highest average precision.

    Among equals, queries of different labels come first, so that one hard class does not fill
    the page.
    """
    result = direction.result
    keys = items.select(items.field == direction.query).keys("label")[result.queries]
    precision = result.values[MAIN]
    worst = np.argsort(precision, kind="stable")
    wrong = np.flatnonzero(result.values["R@1"] <= 0)
    confused = wrong[np.argsort(-result.sure[wrong], kind="stable")]
    orders = {"confused": confused, "worst": worst, "best": worst[::-1]}
    lists = {name: _spread(order, keys, SHOWN) for name, order in orders.items()}
    return Gallery(direction, _examples(items, direction, lists))


def moved(items: Items, direction: Direction, comparison: Comparison) -> Gallery:
    """Return the queries of a direction that lost and won most against another dataset."""
    named = (direction.relevance, direction.name)
    changes = [m for m in comparison.moved if (m.relevance, m.direction) == named]
    if not changes:
        return Gallery(direction)
    part = items.select(items.field == direction.query)
    place = {name: i for i, name in enumerate(part.names()[direction.result.queries])}
    lists: dict[str, list[int]] = {"lost": [], "won": []}
    before: dict[int, float] = {}
    for each in changes:
        row = place[each.path]
        lists["lost" if each.value < each.other else "won"].append(row)
        before[row] = each.other
    arrays = {name: np.array(rows, int) for name, rows in lists.items()}
    return Gallery(direction, _examples(items, direction, arrays, before))


def _examples(
    items: Items,
    direction: Direction,
    lists: dict[str, np.ndarray],
    before: dict[int, float] | None = None,
) -> dict[str, list[Example]]:
    """Return the queries at places among the answerable ones, with what they find."""
    result = direction.result
    mine = np.flatnonzero(items.field == direction.query)
    theirs = np.flatnonzero(items.field == direction.target)
    places = np.concatenate([*lists.values(), np.empty(0, int)]).astype(int)
    asked, given = items.select(mine[result.queries[places]]), items.select(theirs)
    own = asked.own(given) if direction.query == direction.target else None
    best, scores = top_k(asked.ranked, given.ranked, RESULTS, own)
    examples = []
    for row, place in enumerate(places):
        relevant, grades = direction.relevant.of(int(result.queries[place]))
        grade = dict(zip(relevant.tolist(), grades.tolist(), strict=True))
        results = [
            Result(int(theirs[j]), float(score), grade.get(int(j), 0.0))
            for j, score in zip(best[row], scores[row], strict=True)
        ]
        examples.append(
            Example(
                int(mine[result.queries[place]]),
                float(result.values[MAIN][place]),
                float(result.values["median rank"][place]),
                int(result.relevant[place]),
                int(result.targets[place]),
                results,
                None if before is None else before[int(place)],
            )
        )
    ends = np.cumsum([len(places) for places in lists.values()])
    return {
        name: examples[end - len(lists[name]) : end]
        for name, end in zip(lists, ends.tolist(), strict=True)
    }


def _spread(order: np.ndarray, keys: np.ndarray, count: int) -> np.ndarray:
    """Take the first of each key in ``order``, then repeat, until ``count`` are taken.

    What has no key (-1) is of a key of its own.
    """
    turn: dict[int, int] = {}
    ranked = []
    for rank, place in enumerate(order[: 50 * count].tolist()):
        key = int(keys[place])
        turn[key] = turn.get(key, 0) + 1 if key >= 0 else 1
        ranked.append((turn[key], rank, place))
    return np.array([place for _, _, place in sorted(ranked)[:count]], dtype=int)


def by_importance(galleries: Iterable[Gallery]) -> list[int]:
    """Return the items of galleries, each once: queries, first results, second results, and so on.

    Within these, the first query of every list before the second.
    """
    ranked: dict[int, tuple[int, int, int]] = {}
    for number, gallery in enumerate(galleries):
        for examples in gallery.lists.values():
            for turn, example in enumerate(examples):
                cards = [example.query, *(r.index for r in example.results)]
                for depth, index in enumerate(cards):
                    key = (depth, turn, number)
                    ranked[index] = min(key, ranked.get(index, key))
    return sorted(ranked, key=lambda index: ranked[index])
