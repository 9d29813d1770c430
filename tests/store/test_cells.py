"""Items in cells: as the manifest has them, in one form, with names that stay."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import ManifestError
from mmembed.store.cells import CellNames, category_content, content_hash, contents, items_of

IDS = st.text(min_size=1, max_size=5) | st.integers(0, 10**12)


def column(values: list, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def test_texts_stay_as_they_are_and_empty_ones_are_null() -> None:
    texts = contents(column(["a", "", None, "b c"]), "text", "m.csv")
    assert texts.to_pylist() == ["a", None, None, "b c"]


def test_a_cell_may_hold_several_texts() -> None:
    texts = contents(column([["a", "b"], [], None, ["", "c"]]), "text", "m.parquet")
    assert texts.to_pylist() == [["a", "b"], None, None, ["c"]]
    assert [items_of(cell) for cell in texts.to_pylist()] == [["a", "b"], [], [], ["c"]]
    assert items_of("one") == ["one"]


def test_numbers_are_texts_and_structures_are_none() -> None:
    assert contents(column([1, 2]), "text", "m").to_pylist() == ["1", "2"]
    with pytest.raises(ManifestError, match=r"m: column text holds struct<.*>, which is no text"):
        contents(column([{"a": 1}]), "text", "m: column text")


def test_ids_tags_and_weights_come_in_any_type() -> None:
    assert contents(column([17, None]), "category", "m").to_pylist() == ['"17"', None]
    assert contents(column([["a", "b"], []]), "category", "m").to_pylist() == ['["a", "b"]', None]
    weights = pa.map_(pa.string(), pa.float64())
    given_ = column([[("a", 0.5), ("b", 2)], []], weights)
    assert contents(given_, "category", "m").to_pylist() == ['{"a": 0.5, "b": 2.0}', None]
    rows = column([{"a": 1.5, "b": None}, {"a": None, "b": None}])  # as JSONL is read
    assert contents(rows, "category", "m").to_pylist() == ['{"a": 1.5}', None]


@given(st.dictionaries(IDS.map(str), st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_weights_come_back_from_their_json(weights: dict[str, float]) -> None:
    assert json.loads(category_content(weights, "m")) == weights


@given(st.lists(IDS, min_size=1, max_size=5))
def test_tags_come_back_from_their_json_as_text(tags: list) -> None:
    assert json.loads(category_content(tags, "m")) == [str(tag) for tag in tags]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (True, "has True as a tag, not a text or id"),
        (["a", 1.5], "has 1.5 as a tag"),
        ({"a": "much"}, "has 'much' as the weight of a tag"),
        ({"a": float("nan")}, "has nan as the weight of a tag"),
        ([("a", 1), ("", 2)], "has '' as a tag"),
    ],
)
def test_other_values_are_refused_with_their_place(cell: object, said: str) -> None:
    with pytest.raises(ManifestError, match=f"m.csv: column tags, row 3, {said}"):
        category_content(cell, "m.csv: column tags, row 3,")


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12), st.randoms())
def test_the_names_of_equal_items_do_not_depend_on_the_order_of_rows(items: list, random) -> None:
    def names(given_: list[str]) -> list[str]:
        naming = CellNames()
        return [naming.name(None, 0, item) for item in given_]

    shuffled = items.copy()
    random.shuffle(shuffled)
    assert sorted(names(items)) == sorted(names(shuffled))
    assert len(set(names(items))) == len(items)


def test_an_item_with_an_id_is_named_for_it_whatever_it_holds() -> None:
    naming = CellNames()
    assert naming.name("17", 0, "a") == "id:17#0"
    assert naming.name("17", 1, "b") == "id:17#1"
    assert naming.name(None, 0, "a") == f"content:{content_hash('a')}#0"
    assert content_hash("a") != content_hash("b")
    assert len(content_hash("\ud800")) == 32  # half a pair of UTF-16, as some JSON has it
