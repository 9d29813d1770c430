"""Words of the page on an item: short, on one line, and of texts and ids alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed import modality
from mmembed.evaluation.items import Items
from mmembed.evaluation.report.item_words import (
    LONGEST_TITLE,
    LONGEST_WORDS,
    describe,
    display_of,
    item_title,
    item_words,
    span_text,
)
from mmembed.modality import Kind


def items_of(words: list[str | None], kind: str = "text", **spans: float) -> Items:
    count = len(words)
    nothing = np.full(count, None, object)
    given = [np.full(count, spans.get(name, np.nan)) for name in ("start", "start_char")]
    return Items(
        np.eye(count, 4, dtype=np.float32),
        None,
        np.array([f"{i}.txt" for i in range(count)], object),
        nothing,
        nothing,
        np.full(count, kind, object),
        np.full(count, kind, object),
        nothing,
        nothing,
        nothing,
        np.array(words, object),
        given[0],
        given[0] + 2.5,
        given[1],
        given[1] + 360,
    )


@pytest.fixture
def depth() -> Iterator[Kind]:
    """A modality of another package, shown as a picture."""
    kind = Kind("depth", frozenset({".depth"}), display="picture")
    modality.register(kind)
    yield kind
    del modality._KINDS["depth"]


@settings(deadline=None)
@given(st.text(max_size=600))
def test_words_are_one_line_that_is_not_too_long(words: str) -> None:
    text = item_words(items_of([words]), 0)
    assert len(text) <= LONGEST_WORDS
    assert text == " ".join(text.split())
    whole = " ".join(words.split())
    assert text == whole or (text.endswith("…") and whole.startswith(text[:-1]))


@pytest.mark.parametrize("length", [1, LONGEST_WORDS, LONGEST_WORDS + 1, 10 * LONGEST_TITLE])
def test_the_title_holds_what_the_words_cut(length: int) -> None:
    words = "x" * length
    title = item_title(items_of([words]), 0)
    if length <= LONGEST_WORDS:
        assert title == ""
    elif length <= LONGEST_TITLE:
        assert title == words
    else:
        assert title == words[: LONGEST_TITLE - 1] + "…"


def test_only_texts_and_ids_have_words() -> None:
    assert item_words(items_of(["a cat"]), 0) == "a cat"
    assert item_words(items_of([None]), 0) == ""
    assert item_words(items_of(["a cat"], "image"), 0) == ""
    assert item_words(items_of(["a cat"], "smell"), 0) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('"u17"', "u17"),
        ('["red", "round"]', "red, round"),
        ('{"red": 0.5, "round": 1}', "red 0.5, round 1"),
        ("red, round", "red, round"),
        ("17", "17"),
        ("[" * 100_000, None),
    ],
)
def test_ids_and_tags_are_shown_as_people_write_them(content: str, words: str | None) -> None:
    shown = item_words(items_of([content], "category"), 0)
    assert shown == (words or content[: LONGEST_WORDS - 1] + "…")
    assert item_words(items_of([content]), 0).startswith(content[:4])


@given(st.lists(st.text(min_size=1, max_size=5)) | st.text())
def test_any_content_of_a_category_has_words(content: str | list[str]) -> None:
    shown = item_words(items_of([json.dumps(content)], "category"), 0, 10_000)
    whole = content if isinstance(content, str) else ", ".join(content)
    assert shown == " ".join(whole.split())


def test_a_moment_has_a_span_and_a_whole_item_has_none() -> None:
    assert span_text(items_of(["a"], start=12.0), 0) == "12.0–14.5 s"
    assert span_text(items_of(["a"], start_char=120), 0) == "characters 120–480"
    assert span_text(items_of(["a"]), 0) == ""


def test_a_modality_is_shown_as_its_table_says(depth: Kind) -> None:
    shown = [display_of(items_of(["a"], kind), 0) for kind in ("image", "category", "depth")]
    assert shown == ["picture", "words", "picture"]


def test_a_modality_that_is_not_known_is_shown_by_its_path() -> None:
    described = describe(items_of(["a"], "smell"), [0])[0]
    assert (described["display"], described["path"], described["words"]) == ("path", "0.txt", "")


def test_items_are_described_by_their_index() -> None:
    described = describe(items_of(["a", "b", "c"]), [2, 0])
    assert list(described) == [2, 0]
    assert described[2] == {
        "path": "2.txt",
        "field": "text",
        "display": "words",
        "label": None,
        "span": "",
        "words": "c",
        "title": "",
    }
