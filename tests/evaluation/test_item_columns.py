"""Columns of items: names of cells, words, and texts put together from their segments."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.evaluation.item_columns import (
    numbers,
    sample_of,
    segment_indices,
    texts,
    whole_texts,
    with_item_paths,
    words,
)

NAN = float("nan")


def whole(segments: list[tuple[str | None, float, float]]) -> str | None:
    """Return the text of one item of these segments."""
    given = np.array([text for text, _, _ in segments], object)
    spans = np.array([ends for _, *ends in segments], float).T
    rows = np.arange(len(segments))
    made = whole_texts(given, (spans[0], spans[1]), rows, np.array([0]))
    assert made.shape == (1,)
    text: str | None = made[0]
    return text


@given(st.text(min_size=1), st.integers(1, 9), st.integers(0, 8))
def test_segments_that_cover_a_text_give_it_back(text: str, length: int, overlap: int) -> None:
    hop = max(1, length - overlap)
    starts = range(0, max(1, len(text) - length + hop), hop)
    segments = [(text[i : i + length], i, min(len(text), i + length)) for i in starts]
    assert whole([*segments]) == text


def test_words_that_stand_apart_are_put_together_with_a_space() -> None:
    assert whole([("one two", 0, 7), ("three", 9, 14)]) == "one two three"
    assert whole([("one two", 4, 11), ("two three", 8, 17), ("two", 8, 11)]) == "one two three"


@pytest.mark.parametrize(
    "segments",
    [
        [("a whole text", 0, 5), ("a whole text", 5, 12)],
        [("one", 0, 3), (None, 4, 7)],
        [("one", 0, 3), ("two", NAN, NAN)],
        [("one", NAN, NAN), ("two", 3, 6)],
        [("one", 0, 3)],
    ],
)
def test_a_text_whose_segments_do_not_fit_is_that_of_the_first(
    segments: list[tuple[str | None, float, float]],
) -> None:
    assert whole(segments) == segments[0][0]


def test_items_keep_their_own_segments_in_any_order_of_rows() -> None:
    given = np.array(["lo", "abc", "hel", "world"], object)
    spans = (np.array([3.0, NAN, 0.0, 6.0]), np.array([5.0, NAN, 3.0, 11.0]))
    made = whole_texts(given, spans, np.array([1, 2, 0, 3]), np.array([0, 1]))
    assert made.tolist() == ["abc", "hello world"]


def test_a_cell_is_an_item_of_its_manifest() -> None:
    rows = pa.table({"path": ["a.csv", "b#1.png", "a.csv"], "cell": ["id:7#0", None, "id:7#1"]})
    named = with_item_paths(rows)
    assert named["path"].to_pylist() == ["a.csv#id:7#0", "b#1.png", "a.csv#id:7#1"]
    assert named.column_names == ["path", "cell"]
    assert with_item_paths(rows.select(["path"])) == rows.select(["path"])


@given(st.text(), st.integers(0, 9))
def test_the_sample_of_a_cell_is_known_by_its_id(sample: str, place: int) -> None:
    assert sample_of(f"id:{sample}#{place}") == sample
    assert sample_of(f"content:{sample}#{place}") is None


def test_a_caption_is_read_where_there_is_no_text() -> None:
    table = pa.table({"text": ["a", None, ""], "caption": ["x", "y", None]})
    assert texts(table, "here").tolist() == ["a", "y", None]
    assert texts(table.select(["caption"]), "here").tolist() == ["x", "y", None]
    assert texts(table.select(["text"]), "here").tolist() == ["a", None, None]
    lists = pa.table({"caption": pa.array([["a"]])})
    with pytest.raises(StoreError, match="here: column caption holds list<.*, not one value a row"):
        texts(lists, "here")


def test_what_is_not_there_is_unknown() -> None:
    table = pa.table({"path": ["a", "b"]})
    assert words(table, "label", "here").tolist() == [None, None]
    assert np.isnan(numbers(table, "start_s")).all()
    assert segment_indices(table).tolist() == [-1, -1]
    some = pa.table({"segment_index": pa.array([None, 3]), "start_char": pa.array([7, None])})
    assert segment_indices(some).tolist() == [-1, 3]
    assert numbers(some, "start_char")[0] == 7
    assert np.isnan(numbers(some, "start_char")[1])
