"""Labels, groups and splits are read as they are meant, and nothing otherwise than said."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.store.labels import (
    ABOUT,
    PLACEHOLDERS,
    SPLIT_NAMES,
    SPLITS,
    Cell,
    fold,
    read_cells,
    spelled,
    split_named,
)

words = st.sampled_from(
    ["cat", " cat", "cat ", "Cat", "CAT", "d  og", "d og", "nan", "NULL ", "none", "NA", "", "  "]
)
cells = st.none() | words | st.lists(words, max_size=4)


def faults(written: list[Cell], column: str = "label") -> dict[str, tuple[int, str]]:
    spellings = read_cells(written, column)[1]
    return {fault.kind: (fault.count, fault.message) for fault in spellings.faults()}


@pytest.mark.parametrize("name", SPLIT_NAMES)
def test_a_split_is_known_by_each_of_its_names_in_any_case_and_between_blanks(name: str) -> None:
    for text in (name, name.title(), name.upper(), f" {name}\t", f"\u00a0{name.title()}"):
        assert split_named(text) == SPLIT_NAMES[name]
        assert read_cells([text], "split")[0] == [SPLIT_NAMES[name]]
    assert set(SPLIT_NAMES.values()) == set(SPLITS)


@pytest.mark.parametrize("name", ["extra", "train2017", "trainval", "test 1", "v", "", "holdout"])
def test_a_name_of_no_split_is_none(name: str) -> None:
    assert split_named(name) is None


def test_other_names_of_splits_are_said_with_their_counts_and_the_three_are_not() -> None:
    written: list[Cell] = ["train", "val", "test", None]
    assert read_cells(written, "split")[1].split_note == ""
    written = ["training", "Train ", "Train ", "validation", "test", "extra"]
    values, spellings = read_cells(written, "split")
    assert values == ["train", "train", "train", "val", "test", "extra"]
    assert spellings.split_note == (
        "'Train ' (2), 'training' (1) read as train; 'validation' (1) read as val"
    )
    assert faults(written, "split") == {
        "unknown-split": (
            1,
            "with 'extra' (1) as split, which is none of train, val and test: call it one of these",
        )
    }


@pytest.mark.parametrize("column", ABOUT)
@pytest.mark.parametrize("text", ["nan", "NaN", "None", "NULL", "null", "N/A", "n/a", "<NA>"])
def test_what_programs_write_for_nothing_is_nothing_and_is_counted(column: str, text: str) -> None:
    values, spellings = read_cells([text, f" {text}", None, "train"], column)
    assert values == [None, None, None, "train"]
    assert spellings.placeholders == {text: 1, f" {text}": 1}
    assert text in PLACEHOLDERS
    (fault,) = spellings.faults()
    assert (fault.kind, fault.count, fault.first) == ("placeholder", 2, (1, 0))
    assert f"as {column}, which counts as none: leave it empty" in fault.message


@pytest.mark.parametrize("text", ["none", "NA", "na", "Nan", "no label", "0", "unknown", "-"])
def test_what_may_well_be_a_class_is_one(text: str) -> None:
    values, spellings = read_cells([text], "label")
    assert values == [text]
    assert not [*spellings.faults()]


def test_an_empty_cell_is_no_fault() -> None:
    values, spellings = read_cells([None, "", [], [""], "cat"], "label")
    assert values == [None, None, None, None, "cat"]
    assert not [*spellings.faults()]


def test_blanks_around_a_value_do_not_count_and_are_said() -> None:
    values, spellings = read_cells(["cat ", "cat", "\tcat ", "two words"], "label")
    assert values == ["cat", "cat", "cat", "two words"]
    (fault,) = spellings.faults()
    assert (fault.kind, fault.count, fault.of) == ("blanks", 2, "")
    assert fault.message == (
        "with '\\tcat ' (1), 'cat ' (1) as label, read without the blanks around it: remove them"
    )


def test_values_that_differ_in_case_or_blanks_alone_stay_apart_and_are_named() -> None:
    written: list[Cell] = ["Cat", "cat", "a  dog", "a dog", "Straße", "STRASSE", "fish", "cat"]
    values, spellings = read_cells(written, "label")
    assert values == written
    (fault,) = spellings.faults()
    assert (fault.kind, fault.count, fault.of) == ("spelling", 6, "label")
    assert fault.first == (0, 1, 2, 3, 4, 5)
    assert fault.message == (
        "that differ from another in case or blanks alone (such as 'Cat' and 'cat'), each a "
        "class of its own: write them alike"
    )
    assert "each a group of its own" in faults(["A", "a"], "group")["spelling"][1]
    assert not faults(["A", "Train", "train"], "split").keys() & {"spelling"}


def test_several_labels_of_a_cell_are_each_read_once() -> None:
    written: list[Cell] = [["a", " a", "nan", "b"], ["nan"], ["a"], "a", None]
    values, spellings = read_cells(written, "label")
    assert values == [["a", "b"], None, ["a"], "a", None]
    assert spellings.several == 1
    assert spellings.placeholders == {"nan": 2}
    assert spellings.trimmed == {" a": 1}


@given(st.lists(cells, max_size=12), st.sampled_from(ABOUT))
def test_what_was_read_once_is_read_again_as_it_is(written: list[Cell], column: str) -> None:
    values, _ = read_cells(written, column)
    again, spellings = read_cells(values, column)
    assert again == values
    assert not spellings.placeholders
    assert not spellings.trimmed
    assert not spellings.renamed
    flat = [v for cell in values for v in (cell if isinstance(cell, list) else [cell])]
    assert all(v is None or (v == v.strip() and v and v not in PLACEHOLDERS) for v in flat)


@given(st.lists(cells, max_size=12))
def test_each_change_is_counted(written: list[Cell]) -> None:
    spellings = read_cells(written, "label")[1]
    texts = Counter(
        text
        for cell in written
        for text in (cell if isinstance(cell, list) else [cell])
        if text and (text != text.strip() or text in PLACEHOLDERS)
    )
    assert spellings.placeholders + spellings.trimmed == texts
    for text in texts:
        cell = written[spellings.first[text]]
        assert text == cell or (isinstance(cell, list) and text in cell)


def test_many_spellings_are_named_in_part() -> None:
    counts = Counter({"a": 5, "b": 3, "c": 2, "d": 1, "e": 1000})
    assert spelled(counts) == "'e' (1,000), 'a' (5), 'b' (3) and 2 more"
    assert spelled(Counter({"\x1b[2J" * 100: 1})).startswith("'\\x1b[2J")
    assert len(spelled(Counter({"long" * 1000: 1}))) < 100


@given(st.text())
def test_a_folded_text_is_the_same_in_any_case_and_between_any_blanks(text: str) -> None:
    assert fold(f" {text}\n") == fold(text)
    if text.isascii():
        assert fold(text.upper()) == fold(text) == " ".join(text.lower().split())
