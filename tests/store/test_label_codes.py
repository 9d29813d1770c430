"""Codes of several labels an item: the same as lists of them, in one array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmembed.store.label_codes import LabelCodes

labels = st.lists(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4), max_size=8)


def lists(codes: LabelCodes) -> list[list[int]]:
    return [
        codes.codes[low:high].tolist()
        for low, high in zip(codes.starts[:-1], codes.starts[1:], strict=True)
    ]


@given(labels)
def test_codes_are_those_of_the_labels_in_their_order(given_labels: list[list[str]]) -> None:
    known = {"a": 0, "b": 7, "c": 2, "d": 3}
    codes = LabelCodes.of(given_labels, known)
    assert lists(codes) == [[known[x] for x in each if x in known] for each in given_labels]
    assert len(codes) == len(given_labels)
    counted = LabelCodes.of(given_labels)
    names = {}
    for each in given_labels:
        for label in each:
            names.setdefault(label, len(names))
    assert lists(counted) == [[names[x] for x in each] for each in given_labels]
    assert counted.counts.tolist() == list(map(len, given_labels))
    assert counted.items.tolist() == [i for i, each in enumerate(given_labels) for _ in each]


def test_none_is_no_label() -> None:
    assert lists(LabelCodes.of([None, ("a",), None])) == [[], [0], []]


@given(labels, st.data())
def test_some_items_are_chosen_by_index_or_by_mask(
    given_labels: list[list[str]], data: st.DataObject
) -> None:
    codes = LabelCodes.of(given_labels)
    numbers = st.integers(0, max(0, len(codes) - 1))
    chosen = data.draw(st.lists(numbers, max_size=6 if len(codes) else 0))
    index = np.array(chosen, int)
    assert lists(codes.select(index)) == [lists(codes)[i] for i in chosen]
    mask = np.isin(np.arange(len(codes)), index)
    assert lists(codes.select(mask)) == [lists(codes)[i] for i in np.flatnonzero(mask)]


@given(labels)
def test_rows_filled_up_with_minus_one_are_the_same_codes(given_labels: list[list[str]]) -> None:
    codes = LabelCodes.of(given_labels)
    rows = codes.padded()
    assert rows.shape == (len(codes), max(1, int(codes.counts.max(initial=0))))
    assert [[c for c in row if c >= 0] for row in rows.tolist()] == lists(codes)
    assert lists(LabelCodes.of_padded(rows)) == lists(codes)


@given(st.lists(labels, min_size=1, max_size=3))
def test_parts_stand_one_behind_the_other(parts: list[list[list[str]]]) -> None:
    codes = [LabelCodes.of(part) for part in parts]
    assert lists(LabelCodes.joined(codes)) == [each for part in codes for each in lists(part)]
