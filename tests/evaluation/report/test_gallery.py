"""The report shows the queries that failed and those that did not, with their results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmembed.evaluation.compare import Comparison, Moved
from mmembed.evaluation.directions import Direction, score_directions
from mmembed.evaluation.items import Items
from mmembed.evaluation.report.gallery import (
    RESULTS,
    SHOWN,
    Example,
    by_importance,
    choose,
    moved,
)
from mmembed.evaluation.retrieval.relevance import Judged


def gallery_of(
    rng: np.random.Generator, same: bool = False, moments: bool = False
) -> tuple[Items, Direction]:
    rows = 60
    vectors = rng.normal(size=(rows, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds = np.array(["image"] * rows if same else ["audio"] * 30 + ["image"] * 30, object)
    paths = [f"{i // 2 if moments else i:03d}" for i in range(rows)]
    label = np.array([None if i % 30 > 26 else str(i // 2 % 4) for i in range(rows)], object)
    nothing = np.full(rows, None, object)
    start = np.arange(rows) % 2 * 3.0 if moments else np.full(rows, np.nan)
    items = Items(
        vectors.astype(np.float32),
        None,
        np.array(paths, object),
        nothing,
        nothing,
        kinds,
        kinds,
        label,
        nothing,
        nothing,
        nothing,
        start,
        start + 3,
        np.full(rows, np.nan),
        np.full(rows, np.nan),
    )
    directions, _ = score_directions(items, ["label"], None, moments)
    return items, directions[-1]


def test_worst_and_best_are_ordered_and_marked(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng)
    gallery = choose(items, direction)
    precision = direction.result.values["mAP"]
    assert gallery.lists["worst"][0].precision == precision.min()
    assert gallery.lists["best"][0].precision == precision.max()
    theirs = items.vectors[items.field == direction.target]
    for example in gallery.examples:
        assert items.field[example.query] == direction.query
        assert len(example.results) == RESULTS
        for result in example.results:
            same_label = items.label[result.index] == items.label[example.query]
            assert (items.field[result.index], result.relevant) == (direction.target, same_label)
        scores = np.sort(theirs @ items.vectors[example.query])[::-1]
        assert np.allclose([r.score for r in example.results], scores[:RESULTS], atol=1e-6)
        hits = [rank for rank, r in enumerate(example.results, 1) if r.relevant]
        assert not hits or hits[0] == example.first_rank


def test_confident_errors_are_wrong_and_come_surest_first(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng)
    confused = choose(items, direction).lists["confused"]
    assert confused
    assert not any(example.results[0].relevant for example in confused)
    wrong = direction.result.sure[direction.result.values["R@1"] == 0]
    assert confused[0].results[0].score == pytest.approx(wrong.max())


def test_without_an_error_there_is_no_confident_one() -> None:
    items, _ = gallery_of(np.random.default_rng(1))
    codes = np.array([0 if v is None else int(v) for v in items.label])
    items = replace(items, vectors=np.eye(4, dtype=np.float32)[codes])
    directions, _ = score_directions(items, ["label"], None, False)
    items, direction = items, directions[0]
    lists = choose(items, direction).lists
    assert len(lists["worst"]) == SHOWN
    assert all(e.results[0].relevant or e.precision < 1 for e in lists["worst"])
    assert all(not e.results[0].relevant for e in lists["confused"])


def test_one_hard_class_does_not_fill_the_page(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng)
    for name in ("worst", "best"):
        examples = choose(items, direction).lists[name]
        assert len({items.label[e.query] for e in examples}) == SHOWN


@pytest.mark.parametrize("moments", [False, True])
def test_a_query_is_never_among_its_results(rng: np.random.Generator, moments: bool) -> None:
    items, direction = gallery_of(rng, same=True, moments=moments)
    for example in choose(items, direction).examples:
        assert len(example.results) == RESULTS
        assert items.path[example.query] not in [items.path[r.index] for r in example.results]


def test_grades_of_judgements_are_shown(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng)
    theirs = np.flatnonzero(items.field == direction.target)
    places = int((items.field == direction.query).sum())
    best = choose(items, direction).lists["best"][0]
    row = int(np.flatnonzero(theirs == best.results[2].index)[0])
    relevant = Judged(np.arange(places + 1), np.full(places, row), np.full(places, 3.0))
    shown = next(
        e
        for e in choose(items, replace(direction, relevant=relevant)).lists["best"]
        if e.query == best.query
    )
    assert [r.grade for r in shown.results] == [0, 0, 3.0, 0, 0]


@pytest.mark.parametrize("moments", [False, True])
def test_queries_that_changed_are_those_of_the_comparison(
    rng: np.random.Generator, moments: bool
) -> None:
    items, direction = gallery_of(rng, moments=moments)
    part = items.select(items.field == direction.query)
    mine = np.flatnonzero(items.field == direction.query)
    lost, won = (int(direction.result.queries[i]) for i in (3, 5))
    changes = [
        Moved("label", direction.name, part.names()[lost], 0.2, 0.9),
        Moved("label", direction.name, part.names()[won], 0.8, 0.1),
        Moved("group", direction.name, part.names()[won], 0.8, 0.1),
    ]
    lists = moved(items, direction, Comparison("o", "s", "f", [], changes, {}, 0)).lists
    assert [(e.query, e.before) for e in lists["lost"]] == [(int(mine[lost]), 0.9)]
    assert [(e.query, e.before) for e in lists["won"]] == [(int(mine[won]), 0.1)]


def test_queries_are_more_important_than_their_results(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng)
    gallery = choose(items, direction)
    ordered = by_importance([gallery])
    queries = {example.query for example in gallery.examples}
    shown = {r.index for e in gallery.examples for r in e.results}
    assert set(ordered[: len(queries)]) == queries
    assert sorted(ordered) == sorted(queries | shown)
    firsts = {example.results[0].index for example in gallery.examples}
    assert set(ordered[len(queries) :][: len(firsts)]) == firsts


def test_examples_say_how_many_are_relevant(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng)

    def relevant(example: Example) -> int:
        same = items.label == items.label[example.query]
        return int((same & (items.field == direction.target)).sum())

    for example in choose(items, direction).examples:
        assert (example.relevant, example.targets) == (relevant(example), 30)
