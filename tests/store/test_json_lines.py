"""JSONL comes out as it was written: numbers, dates and truth as texts, lists and objects whole."""

from __future__ import annotations

import io
import json
import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.store import json_lines
from mmembed.store.json_lines import read_json_lines

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

CELL = st.none() | TEXT | st.integers() | st.booleans()


def read(text: str) -> pa.Table:
    return read_json_lines(io.BytesIO(text.encode("utf-8")))


@pytest.mark.parametrize(
    "written",
    ["00", "1.10", "12345678901234567890", "1e5", "-0", "1E400", "0.1000000000000000055511151231"],
)
def test_a_number_is_the_text_that_was_written(written: str) -> None:
    if written != "00":  # which JSON does not allow
        assert read(f'{{"id": {written}}}\n').to_pylist() == [{"id": written}]
    assert read(f'{{"id": "{written}"}}\n').to_pylist() == [{"id": written}]


def test_dates_truth_and_nothing() -> None:
    table = read('{"a": "2020-01-02", "b": true, "c": null}\n\n{"b": false, "d": "nan"}')
    assert table.column_names == ["a", "b", "c", "d"]
    assert table.to_pylist() == [
        {"a": "2020-01-02", "b": "true", "c": None, "d": None},
        {"a": None, "b": "false", "c": None, "d": "nan"},
    ]
    assert {field.type for field in table.schema} == {pa.string()}


def test_lists_and_objects_have_numbers() -> None:
    table = read('{"tags": {"red": 0.5, "big": 2}, "text": ["a", "b"]}\n{"text": []}')
    assert table["tags"].to_pylist() == [{"red": 0.5, "big": 2}, None]
    assert table["text"].to_pylist() == [["a", "b"], []]


@settings(deadline=None)
@given(st.lists(st.dictionaries(TEXT, CELL, min_size=1), min_size=1))
def test_any_rows_come_back(rows: list[dict[str, object]]) -> None:
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    table = read(text)
    assert table.num_rows == len(rows)
    for row, got in zip(rows, table.to_pylist(), strict=True):
        for name, value in row.items():
            shown = value if value is None or isinstance(value, str) else json.dumps(value)
            assert got[name] == shown


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_are_joined_whatever_each_has(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "CHUNK", chunk)
    table = read('{"a": 1}\n{"b": ["x"]}\n{"a": 3, "b": null}\n')
    assert table.to_pylist() == [
        {"a": "1", "b": None},
        {"a": None, "b": ["x"]},
        {"a": "3", "b": None},
    ]


def test_a_mark_at_the_beginning_line_ends_of_windows_and_long_lines() -> None:
    long = "x" * 3_000_000
    table = read("\ufeff" + f'{{"a": "{long}"}}\r\n{{"a": "\\u2028\u2028"}}\r\n')
    assert table["a"].to_pylist() == [long, "\u2028\u2028"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": 2', "line 2 is no JSON: .* at character 7"),
        ('{"a": 1}\n\n[1]', "line 3 is no object"),
        ('{"a": 1}\n{}', "line 2 is no object with a key"),
        ('{"a": 1, "b": 2, "a": 3}', "line 1 names 'a' twice"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 1 is nested too deeply"),
        ('{"a": ["x"]}\n{"a": "x"}', "column a: "),
        ('{"a": "\\ud800"}', "column a: "),
        ("\n \n", "has no line"),
    ],
    ids=lambda each: each[:20],
)
def test_what_can_not_be_read_is_named_by_its_line_or_column(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)


def test_columns_of_other_types_in_another_chunk_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "CHUNK", 1)
    with pytest.raises(ValueError, match="a column holds values of several types"):
        read('{"a": ["x"]}\n{"a": "x"}')


def test_numbers_that_are_none_are_texts_too() -> None:
    assert read('{"a": NaN, "b": Infinity}').to_pylist() == [{"a": "nan", "b": "inf"}]
    assert math.isnan(read('{"a": [NaN]}')["a"].to_pylist()[0][0])
