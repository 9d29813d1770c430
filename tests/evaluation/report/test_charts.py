"""Data of the charts: words and spans of items, and no more points than a map holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.evaluation.report.charts as charts
from mmembed.evaluation.items import Items
from mmembed.evaluation.report.charts import caption, describe, span_text


def items_of(words: list[str | None], modality: str = "text", start: float = np.nan) -> Items:
    count = len(words)
    nothing = np.full(count, None, object)
    return Items(
        np.eye(count, 4, dtype=np.float32),
        None,
        np.array([f"{i}.txt" for i in range(count)], object),
        np.full(count, modality, object),
        nothing,
        nothing,
        nothing,
        np.array(words, object),
        np.full(count, start),
        np.full(count, start + 2.5),
    )


@settings(deadline=None)
@given(st.text(max_size=600))
def test_a_caption_is_one_line_that_is_not_too_long(words: str) -> None:
    text = caption(items_of([words]), 0)
    assert len(text) <= charts.LONGEST_CAPTION
    assert text == " ".join(text.split())
    whole = " ".join(words.split())
    assert text == whole or (text.endswith("…") and whole.startswith(text[:-1]))


def test_only_text_rows_have_words() -> None:
    assert caption(items_of(["a cat"]), 0) == "a cat"
    assert caption(items_of([None]), 0) == ""
    assert caption(items_of(["a cat"], "image"), 0) == ""


def test_a_moment_has_a_span_and_a_file_has_none() -> None:
    assert span_text(items_of(["a"], start=12.0), 0) == "12.0–14.5 s"
    assert span_text(items_of(["a"]), 0) == ""


def test_items_are_described_by_their_index() -> None:
    described = describe(items_of(["a", "b", "c"]), [2, 0])
    assert list(described) == [2, 0]
    assert described[2] == {
        "path": "2.txt",
        "modality": "text",
        "label": None,
        "span": "",
        "caption": "c",
    }


def test_a_map_shows_an_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "MAP_POINTS", 5)
    points = charts._map(items_of(["a"] * 30))
    assert [point["i"] for point in points] == [0, 7, 14, 21, 29]
    assert all(len(point[name]) == 2 for point in points for name in ("tsne", "pca"))
