"""Words of text rows: folded alike where they read alike, and none where nothing can be asked."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.evaluation.data_checks.captions import first_of_each, fold, has_word, worded

LATIN = st.characters(max_codepoint=0x17F)
TEXTS = st.text(LATIN, max_size=12)


@settings(deadline=None)
@given(TEXTS)
def test_folding_is_done_after_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_forms_of_unicode_and_spaces_fold_alike(text: str, form: str) -> None:
    other = unicodedata.normalize(form, text)
    assert fold(f"  {other}\t\n") == fold(text)


def test_case_and_width_fold_alike_and_words_stay_apart() -> None:
    assert fold("A  Red\u00a0Bus") == fold("a red bus") == fold("Ａ ＲＥＤ ＢＵＳ")
    assert fold("a redbus") != fold("a red bus")
    assert fold("Straße") == fold("STRASSE")


@pytest.mark.parametrize("text", ["a", "7", "京", "🐈", "nan.", "é"])
def test_letters_digits_and_pictograms_are_words(text: str) -> None:
    assert has_word(text)


@pytest.mark.parametrize("text", ["", " ", "...", "?!", "—", "\u200b"])
def test_punctuation_and_blanks_are_none(text: str) -> None:
    assert not has_word(text)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "", "!"]), max_size=9), st.randoms())
def test_rows_know_the_first_of_their_text(texts: list[str], random: object) -> None:
    captions = np.array(texts, object)
    rows = np.arange(len(texts))
    random.shuffle(rows)  # type: ignore[attr-defined]
    first = first_of_each(captions, rows)
    seen = [texts[row] for row in rows]
    assert first.tolist() == [rows[seen.index(text)] for text in seen]
    assert worded(captions, rows).tolist() == [text in "ab" and text != "" for text in seen]
