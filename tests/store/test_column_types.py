"""Types of columns: what other tools write is understood, and anything else is named."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.store.column_types import (
    check_names,
    is_number,
    is_text,
    is_word,
    joined,
    vector_length,
    with_fields,
    with_plain_types,
)

TEXT = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int64(), pa.large_string()),
]
NUMBER = [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(9, 2), pa.null()]
NEITHER = [pa.binary(), pa.list_(pa.string()), pa.struct({"a": pa.string()}), pa.bool_()]


def test_texts_and_numbers_are_told_apart_in_every_type() -> None:
    assert all(map(is_text, TEXT))
    assert not any(map(is_text, [*NUMBER, *NEITHER]))
    assert all(map(is_number, NUMBER))
    assert not any(map(is_number, [*TEXT, *NEITHER]))


def test_a_word_is_one_value() -> None:
    assert all(map(is_word, [*TEXT, *NUMBER, pa.bool_(), pa.timestamp("us"), pa.date32()]))
    nested = [pa.list_(pa.string()), pa.map_(pa.string(), pa.int8()), pa.struct({})]
    assert not any(map(is_word, [pa.binary(), pa.binary(4), pa.large_binary(), *nested]))


@pytest.mark.parametrize("value", [pa.float16(), pa.float32(), pa.float64()])
def test_vectors_are_lists_of_floats_of_any_kind(value: pa.DataType) -> None:
    assert vector_length(pa.list_(value, 7)) == 7
    assert vector_length(pa.list_(value)) == vector_length(pa.large_list(value)) == -1
    assert vector_length(value) is None
    assert vector_length(pa.list_(pa.list_(value))) is None
    assert vector_length(pa.list_(pa.int32(), 7)) is None
    if value != pa.float16():
        assert vector_length(pa.fixed_shape_tensor(value, [7])) == 7


@given(st.lists(st.none() | st.text(max_size=4)), st.sampled_from(TEXT))
def test_texts_stay_what_they_were(values: list[str | None], kind: pa.DataType) -> None:
    plain = with_plain_types(pa.table({"label": pa.array(values, kind)}), "x")
    assert plain.schema.field("label").type == pa.string()
    assert plain["label"].to_pylist() == values


@given(st.lists(st.none() | st.integers(0, 1 << 20)), st.sampled_from([pa.float64(), pa.int64()]))
def test_whole_numbers_stay_what_they_were(values: list[int | None], kind: pa.DataType) -> None:
    plain = with_plain_types(pa.table({"segment_index": pa.array(values, kind)}), "x")
    assert plain.schema.field("segment_index").type == pa.int32()
    assert plain["segment_index"].to_pylist() == values


@pytest.mark.parametrize("value", [0.5, 2.0**40, float("nan")])
def test_a_number_that_is_not_whole_is_named(value: float) -> None:
    table = pa.table({"segment_index": pa.array([value])})
    with pytest.raises(StoreError, match="here: column segment_index can't be read as int32"):
        with_plain_types(table, "here")


def test_a_row_without_a_field_is_of_the_field_that_is_called_as_its_modality() -> None:
    older = pa.table({"path": ["a", "b"], "modality": ["image", "text"], "label": ["x", "y"]})
    assert with_fields(older).column_names == ["path", "modality", "field", "label"]
    assert with_fields(older)["field"].to_pylist() == ["image", "text"]
    newer = pa.table({"path": ["c"], "modality": ["text"], "field": ["title"]})
    both = with_fields(joined([older, newer], ["one", "two"]))
    assert both["field"].to_pylist() == ["image", "text", "title"]
    assert with_fields(both) == both


@pytest.mark.parametrize("name", ["field", "cell", "text", "start_char", "end_char"])
def test_columns_of_texts_and_cells_have_types(name: str) -> None:
    chars = name.endswith("char")
    given = pa.array([3.0, None]) if chars else pa.array(["3", None]).dictionary_encode()
    plain = with_plain_types(pa.table({name: given}), "x")
    assert plain.schema.field(name).type == (pa.int64() if chars else pa.string())
    assert plain[name].to_pylist() == [3 if chars else "3", None]
    words = "whole numbers" if chars else "text"
    with pytest.raises(StoreError, match=f"x: column {name} holds bool, not {words}"):
        with_plain_types(pa.table({name: [True]}), "x")


def test_names_that_are_there_twice_are_named() -> None:
    check_names(["a", "b"], "x")
    with pytest.raises(StoreError, match="x: has b c twice among its columns"):
        check_names(["a", "b\nc", "b\nc"], "x")


def test_parts_that_do_not_go_together_are_named() -> None:
    parts = {
        "one": pa.table({"a": [1], "b": ["x"]}),
        "two": pa.table({"a": [2.5]}),
        "three": pa.table({"a": [3], "b": [["y"]]}),
    }
    first = joined([parts["one"], parts["two"]], ["one", "two"])
    assert first.to_pylist() == [{"a": 1.0, "b": "x"}, {"a": 2.5, "b": None}]
    with pytest.raises(StoreError, match="three: column b holds list<.*, but string in one"):
        joined(parts.values(), list(parts))
