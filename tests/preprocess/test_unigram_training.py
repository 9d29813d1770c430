"""Pieces of words are learnt alike from the same words, and the useful ones stay."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.preprocess.unigram_training import learnt_pieces

WORDS = Counter({"walking": 9, "walked": 7, "talking": 8, "talked": 6, "walk": 3, "king": 2})
LETTERS = set("".join(WORDS))
SEEDS = {word[i:j] for word in WORDS for i in range(len(word)) for j in range(i + 1, len(word) + 1)}


def test_stems_and_endings_are_chosen_over_chance_parts() -> None:
    pieces = learnt_pieces(WORDS, SEEDS, len(LETTERS) + 4)
    assert set(pieces) >= LETTERS, "every character can be written"
    longer = {piece for piece in pieces if len(piece) > 1}
    assert len(pieces) <= len(LETTERS) + 4
    assert longer & {"ing", "king", "ed", "ked", "walk", "talk", "wal", "tal", "walking"}
    assert not longer & {"lki", "alki", "in", "lke"}


def test_enough_room_keeps_whole_words() -> None:
    assert set(WORDS) - {"king"} <= set(learnt_pieces(WORDS, SEEDS, 1000))


def test_scores_are_logarithms_of_shares_in_falling_order() -> None:
    pieces = learnt_pieces(WORDS, SEEDS, 12)
    scores = list(pieces.values())
    assert scores == sorted(scores, reverse=True)
    assert sum(map(math.exp, scores)) < 1.3
    assert all(score < 0 for score in scores)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=5), st.integers(1, 5), min_size=1),
    st.integers(3, 12),
    st.randoms(use_true_random=False),
)
def test_order_of_words_and_seeds_makes_no_difference(
    words: dict[str, int], most: int, random: object
) -> None:
    seeds = sorted({w[i:j] for w in words for i in range(5) for j in range(i + 1, 6)} - {""})
    letters = set("".join(words))
    first = learnt_pieces(words, seeds, max(most, len(letters)))
    shuffled = list(words.items())
    random.shuffle(shuffled)
    random.shuffle(seeds)
    again = learnt_pieces(dict(shuffled), seeds, max(most, len(letters)))
    assert list(first.items()) == list(again.items())
    assert letters <= set(first)
    assert len(first) <= max(most, len(letters))
