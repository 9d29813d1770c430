"""Faults of vectors that can't be compared: one a kind, with files and segments told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmembed.evaluation.items import Items
from mmembed.evaluation.unusable_rows import NOT_FINITE, ZERO, UnusableRows
from mmembed.evaluation.unusable_vectors import in_words, lint_vectors, usable
from mmembed.store.vectors import MISSING, OTHER_LENGTH

from .data_checks.flawed_items import changed, make_items, unit


@pytest.fixture
def clean(rng: np.random.Generator) -> Items:
    return make_items(unit(rng.normal(size=(6, 8))))


def with_rows(items: Items, *rows: tuple[int, int, int, int, int]) -> Items:
    """Give items unusable rows: item, kind, segment, rows and usable rows of the item each."""
    return replace(items, unusable=UnusableRows(*np.array(rows, int).T))


def test_usable_items_have_no_fault(clean: Items) -> None:
    assert list(lint_vectors(clean)) == []
    assert in_words(clean, 2, "image") == "2 image files"


def test_an_item_is_counted_once(clean: Items) -> None:
    """Whether its row was seen when it was read, or only its vector is known."""
    broken = changed(changed(clean, "vectors", [1, 2], np.nan), "vectors", [4], 0.0)
    seen = with_rows(broken, (1, MISSING, -1, 1, 0), (4, ZERO, -1, 1, 0))
    assert [(f.kind, f.count, f.examples) for f in lint_vectors(seen)] == [
        ("missing", 1, ("000001.bin",)),
        ("nan", 1, ("000002.bin",)),
        ("zero", 1, ("000004.bin",)),
    ]
    assert np.flatnonzero(~usable(seen)).tolist() == [1, 2, 4]


def test_segments_that_cancel_out_are_a_file_of_zero(clean: Items) -> None:
    cancelled = changed(clean, "vectors", [3], 0.0)
    partly = with_rows(cancelled, (3, NOT_FINITE, 2, 3, 2))
    assert [(f.kind, f.message) for f in lint_vectors(partly)] == [
        (
            "nan",
            "1 segment of 1 file with NaN or infinite vectors, left out of the scores (1 file has "
            "other segments, which count): embed it again",
        ),
        ("zero", "1 file with zero vectors, left out of the scores: embed it again"),
    ]


def test_it_is_said_where_and_what_for(clean: Items) -> None:
    broken = changed(clean, "vectors", [0, 5], np.nan)
    seen = with_rows(broken, (0, OTHER_LENGTH, 0, 1, 0), (5, OTHER_LENGTH, 0, 1, 0))
    (fault,) = lint_vectors(seen, " of other splits", "the classifiers")
    assert fault.message == (
        "2 files of other splits with vectors of another length, left out of the classifiers: "
        "embed them again"
    )
    assert fault.examples == ("000000.bin", "000005.bin")
