"""Directions: every ordered pair of modalities, under every notion that both sides know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmembed.evaluation.directions import score_directions
from mmembed.evaluation.items import Items, read_items
from mmembed.store.table import EmbeddingTable

from .conftest import digits

Make = Callable[..., EmbeddingTable]


@pytest.fixture
def items(make_table: Make) -> Items:
    return read_items(make_table(*digits("test", 12, np.random.default_rng(0))))


def test_ranks_of_first_answers_are_counted_once_a_query(items: Items) -> None:
    directions, _ = score_directions(items, ("label", "group"), None, moments=False)
    for direction in directions:
        saved = direction.to_dict()
        histogram = saved["first_ranks"]
        assert sum(histogram["queries"]) == saved["queries"] == 12
        assert histogram["upto"] == [1, 2, 4, 8, 12]
        first = direction.result.values["median rank"]
        assert histogram["queries"][0] == (first < 2).sum()


def test_a_recall_curve_has_the_recalls_of_the_table_and_ends_at_the_last_target(
    items: Items,
) -> None:
    directions, _ = score_directions(items, ("label",), None, moments=False)
    for direction in directions:
        curve = direction.to_dict()["recall_curve"]
        assert (curve["k"][0], curve["k"][-1]) == (1, 12)
        assert curve["R"][0] == pytest.approx(direction.result.mean("R@1"))
        assert curve["R"][-1] == curve["chance"][-1] == 1
        assert all(np.diff(curve["R"]) >= 0)


def test_a_notion_that_one_side_lacks_is_not_scored(items: Items) -> None:
    items.label[items.field == "video"] = None
    directions, counts = score_directions(items, ("label",), None, moments=False)
    assert {d.name for d in directions} == {"image → audio", "audio → image"}
    assert {count.direction for count in counts} == {"image → audio", "audio → image"}


def test_queries_without_an_answer_are_counted_and_named(items: Items) -> None:
    lost = np.flatnonzero(items.field == "image")[:2]
    items.label[lost] = "of no other file"
    directions, counts = score_directions(items, ("label",), None, moments=False)
    by_name = {count.direction: count for count in counts}
    one = by_name["image → video"]
    assert (one.queries, one.unanswerable) == (12, 2)
    assert one.examples == items.path[lost].tolist()
    assert by_name["audio → video"].unanswerable == 0
    direction = next(d for d in directions if d.name == "image → video")
    assert len(direction.clusters) == len(direction.result.queries) == 10


def test_unlabelled_rows_are_no_queries(items: Items) -> None:
    items.label[np.flatnonzero(items.field == "image")[:5]] = None
    _, counts = score_directions(items, ("label",), None, moments=False)
    assert {c.queries for c in counts if c.direction.startswith("image")} == {7}
    assert {c.unanswerable for c in counts} == {0}


def test_queries_of_one_group_are_one_cluster(items: Items) -> None:
    items.group[:] = np.array([f"g{i // 2}" for i in range(len(items))], object)
    directions, _ = score_directions(items, ("label",), None, moments=False)
    for direction in directions:
        assert len(np.unique(direction.clusters)) == direction.to_dict()["clusters"] == 6
