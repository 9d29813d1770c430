"""Phrases of avdigits: right words, right grammar, and other phrasings in each split."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "pipelines"))

from avdigits_words import LANGUAGES, PHRASES, Language, write_phrases

SPLITS = ("train", "val", "test")
EACH = pytest.mark.parametrize("language", LANGUAGES.values(), ids=list(LANGUAGES))


def every_phrase(language: Language, split: str) -> list[tuple[int, str]]:
    return [
        (digit, language.phrase(phrasing, digit))
        for phrasing in language.phrasings(split)
        for digit in range(10)
    ]


@EACH
def test_a_language_has_ten_words_that_differ(language: Language) -> None:
    assert len(set(language.words.split())) == 10


def test_no_word_stands_for_two_digits_in_two_languages() -> None:
    digits: dict[str, set[int]] = {}
    for language in LANGUAGES.values():
        for digit, word in enumerate(language.words.split()):
            digits.setdefault(word, set()).add(digit)
    assert all(len(named) == 1 for named in digits.values())


@EACH
def test_no_phrasing_is_in_two_splits(language: Language) -> None:
    every = [language.phrasings(split) for split in SPLITS]
    assert all(every)
    assert sum(map(len, every)) == len({text for texts in every for text in texts})


def test_no_phrase_of_one_split_is_one_of_another_in_any_language() -> None:
    phrases = {
        split: {
            text.lower()
            for language in LANGUAGES.values()
            for _, text in every_phrase(language, split)
        }
        for split in SPLITS
    }
    assert not phrases["train"] & phrases["test"]
    assert not phrases["val"] & (phrases["train"] | phrases["test"])


@pytest.mark.parametrize("split", ["val", "test"])
def test_phrases_that_are_judged_differ_in_more_than_words_that_training_lacks(split: str) -> None:
    def words(text: str) -> list[str]:
        return re.findall(r"\w+|[^\w\s]", text.lower())

    languages = LANGUAGES.values()
    known = {
        word for each in languages for _, t in every_phrase(each, "train") for word in words(t)
    }
    texts = {text.lower() for each in languages for _, text in every_phrase(each, split)}
    seen = {tuple(word if word in known else None for word in words(text)) for text in texts}
    assert len(seen) == len(texts)


def test_a_phrase_stands_for_one_digit() -> None:
    digits: dict[str, set[int]] = {}
    for language in LANGUAGES.values():
        for split in SPLITS:
            for digit, text in every_phrase(language, split):
                digits.setdefault(text.lower(), set()).add(digit)
    assert [text for text, named in digits.items() if len(named) > 1] == []


@EACH
@pytest.mark.parametrize("split", SPLITS)
def test_every_phrase_holds_the_word_of_its_digit(language: Language, split: str) -> None:
    for digit, text in every_phrase(language, split):
        names = {language.words.split()[digit], language.one if digit == 1 else ""} - {""}
        assert names & set(text.lower().replace("'", " ").split()), text
        assert "  " not in text
        assert text == text.strip()
        assert not set("{}|") & set(text)


@pytest.mark.parametrize(
    ("code", "phrasing", "digit", "phrase"),
    [
        ("en", "a picture of {a} {word}", 8, "a picture of an eight"),
        ("en", "a picture of {a} {word}", 1, "a picture of a one"),
        ("en", "{count} apple|{count} apples", 1, "one apple"),
        ("en", "{count} apple|{count} apples", 0, "zero apples"),
        ("de", "{a} {Word}", 3, "eine Drei"),
        ("de", "{count} Punkt|{count} Punkte", 1, "ein Punkt"),
        ("de", "{count} Punkt|{count} Punkte", 0, "null Punkte"),
        ("de", "die Ziffer {word}", 1, "die Ziffer eins"),
        ("fr", "{count} point|{count} points", 3, "trois points"),
        ("fr", "{count} point|{count} points", 0, "zéro point"),
        ("es", "{count} punto|{count} puntos", 1, "un punto"),
        ("es", "el número {word}", 1, "el número uno"),
        ("it", "questo è {a} {word}", 0, "questo è uno zero"),
        ("it", "questo è {a} {word}", 8, "questo è un otto"),
        ("pt", "{count} ponto|{count} pontos", 2, "dois pontos"),
    ],
)
def test_grammar_is_that_of_the_language(code: str, phrasing: str, digit: int, phrase: str) -> None:
    assert LANGUAGES[code].phrase(phrasing, digit) == phrase


def test_the_same_seed_writes_the_same_phrases_and_another_others() -> None:
    first, again, other = (
        [write_phrases(3, "train", np.random.default_rng([seed, row])) for row in range(20)]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("split", SPLITS)
def test_rows_have_as_many_phrases_as_planned_all_different(split: str) -> None:
    counts = set()
    for seed in range(100):
        phrases = write_phrases(5, split, np.random.default_rng(seed))
        assert len({text.lower() for text in phrases}) == len(phrases)
        counts.add(len(phrases))
    fewest, most = PHRASES[split]
    assert counts == set(range(fewest, most + 1))


def test_rows_that_share_no_phrase_get_each_once_and_then_none() -> None:
    rng, taken = np.random.default_rng(0), set[str]()
    rows = [write_phrases(4, "test", rng, taken) for _ in range(60)]
    written = [text.lower() for phrases in rows for text in phrases]
    known = {
        text.lower()
        for language in LANGUAGES.values()
        for digit, text in every_phrase(language, "test")
        if digit == 4
    }
    assert sorted(written) == sorted(known)
    assert rows[-1] == []


def test_phrases_come_in_every_language_some_with_a_capital_letter() -> None:
    rng = np.random.default_rng(0)
    written = [text for _ in range(500) for text in write_phrases(7, "train", rng)]
    for language in LANGUAGES.values():
        own = {text for digit, text in every_phrase(language, "train") if digit == 7}
        assert own & set(written)
    lower = [text for text in written if text[0].islower()]
    assert 0.5 < len(lower) / len(written) < 0.9
