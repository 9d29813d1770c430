"""A long text is cut into segments of whole words that leave out nothing and go on with each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.preprocess.text_segments import segments

# words of a letter a token, with white space of all kinds between
WORDS = st.lists(st.text("abcde", min_size=1, max_size=9), min_size=1, max_size=30)
GAPS = st.sampled_from([" ", "  ", "\n", "\t\u3000", "\u00a0"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    words = draw(WORDS)
    return draw(GAPS) + "".join(word + draw(GAPS) for word in words)


def letters(text: str) -> np.ndarray:
    return np.array([(i, i + 1) for i, c in enumerate(text) if not c.isspace()], np.int64).reshape(
        -1, 2
    )


def fits(room: int) -> Callable[[str], bool]:
    return lambda part: len(letters(part)) <= room


def cut(text: str, room: int, overlap: int = 0) -> list[str]:
    spans = segments(text, letters(text), room, overlap, fits(room))
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("text", "room", "overlap", "pieces"),
    [
        ("ab cd ef", 4, 0, ["ab cd", "ef"]),
        ("ab cd ef", 2, 0, ["ab", "cd", "ef"]),
        ("ab cd ef", 5, 2, ["ab cd", "cd ef"]),
        ("ab cd ef", 5, 1, ["ab cd", "ef"]),  # no whole word is so short
        ("a b c d e", 3, 2, ["a b c", "b c d", "c d e"]),
        ("a b cdef", 4, 2, ["a b", "cdef"]),  # an overlap would leave no room for the new word
        ("a bcdefgh i", 3, 0, ["a bc", "def", "gh i"]),  # a long word is cut between tokens
        ("a bcdefgh i", 3, 1, ["a bc", "cde", "efg", "gh i"]),
        ("  ab\n\ncd  ", 2, 0, ["ab", "cd"]),
        ("", 3, 0, []),
    ],
)
def test_words_are_packed_while_there_is_room(
    text: str, room: int, overlap: int, pieces: list[str]
) -> None:
    assert cut(text, room, overlap) == pieces


@settings(deadline=None, max_examples=300)
@given(texts(), st.integers(1, 12), st.integers(0, 11))
def test_segments_cover_all_in_order_and_fit(text: str, room: int, overlap: int) -> None:
    overlap = min(overlap, room - 1)
    spans = list(segments(text, letters(text), room, overlap, fits(room)))
    covered = {i for start, end in spans for i in range(start, end)}
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered
    for start, end in spans:
        assert 0 < len(letters(text[start:end])) <= room
    for (start, end), (next_start, next_end) in itertools.pairwise(spans):
        assert start < next_start
        assert end < next_end
        assert len(letters(text[next_start : max(end, next_start)])) <= overlap


@settings(deadline=None, max_examples=200)
@given(texts(), st.integers(9, 20), st.integers(0, 8))
def test_a_word_that_has_room_is_never_cut(text: str, room: int, overlap: int) -> None:
    edges = {edge for match in re.finditer(r"\S+", text) for edge in match.span()}
    for start, end in segments(text, letters(text), room, overlap, fits(room)):
        assert {start, end} <= edges


@settings(deadline=None, max_examples=100)
@given(texts(), st.integers(2, 9))
def test_a_segment_longer_by_itself_is_made_shorter(text: str, room: int) -> None:
    """One token more stands before each segment than its share of the whole text has."""
    offsets = letters(text)
    spans = list(segments(text, offsets, room, 0, fits(room - 1)))
    assert all(len(letters(text[start:end])) <= room - 1 for start, end in spans)
    assert sum(len(letters(text[a:b])) for a, b in spans) == len(offsets)


def test_what_can_not_be_cut_is_given_as_it_is() -> None:
    assert list(segments("a b", letters("a b"), 1, 0, lambda part: False)) == [(0, 1), (2, 3)]


def test_words_without_a_token_make_no_segment() -> None:
    offsets = np.array([[0, 1], [6, 7]])
    spans = segments("a ### b", offsets, 1, 0, lambda part: True)
    assert list(spans) == [(0, 1), (6, 7)]


def test_tokens_over_several_words_keep_them_all() -> None:
    text, offsets = "new york los angeles", np.array([[0, 8], [9, 20]])  # two words a token
    spans = list(segments(text, offsets, 1, 0, lambda part: True))
    covered = {i for start, end in spans for i in range(start, end)}
    assert {i for i, c in enumerate(text) if c != " "} <= covered


def test_several_tokens_of_one_character_are_not_parted() -> None:
    offsets = np.array([[0, 1], [0, 1], [0, 1], [1, 2], [1, 2], [1, 2]])
    assert list(segments("🙂🙃", offsets, 3, 0, lambda part: len(part) < 2)) == [(0, 1), (1, 2)]
