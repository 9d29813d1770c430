"""Copies are told from neighbours in spaces of any density, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmembed.evaluation.data_checks import duplicates
from mmembed.evaluation.data_checks.duplicates import (
    Usual,
    copies_across,
    copy_distance,
    repeats,
    row_codes,
    row_codes_of,
    usual_distance,
)
from mmembed.evaluation.data_checks.lint import lint
from mmembed.neighbors.distances import COLUMNS, ROWS

from .flawed_items import Shape, changed, unit

HALVES = arrays(np.float32, st.tuples(st.integers(0, 30), st.just(2)), elements=st.just(0.5))
FEW_VALUES = arrays(
    np.float32,
    st.tuples(st.integers(0, 30), st.just(2)),
    elements=st.sampled_from([-1.0, -0.0, 0.0, 1.0]),
)


@settings(deadline=None)
@given(FEW_VALUES | HALVES)
def test_codes_are_equal_exactly_where_rows_are(rows: np.ndarray) -> None:
    codes = row_codes(rows)
    assert ((codes[:, None] == codes) == (rows[:, None] == rows).all(2)).all()
    assert (row_codes_of(rows, np.arange(len(rows))) == codes).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 5)))
def test_a_repeat_is_what_was_there_before(codes: list[int]) -> None:
    again, first = repeats(np.array(codes, np.int64))
    assert again.tolist() == [i for i, code in enumerate(codes) if code in codes[:i]]
    assert first.tolist() == [codes.index(codes[i]) for i in again]


def test_codes_do_not_depend_on_the_block(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rng.normal(size=(50, 3)).astype(np.float32)
    codes = row_codes(rows)
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 7)
    assert (row_codes(rows) == codes).all()


@pytest.mark.parametrize("dim", [2, 3, 6, 12])
def test_dimension_is_measured_on_the_low_side(dim: int) -> None:
    vectors = unit(np.random.default_rng(dim).normal(size=(2000, dim)))
    usual = usual_distance(vectors, np.arange(2000))
    assert usual is not None
    assert 0.5 * (dim - 1) < usual.dimension <= dim - 1


def test_a_copy_must_be_nearer_where_neighbours_are_near() -> None:
    wide = copy_distance(Usual(1.2, 60, 1000), 300, 1000)
    tight = copy_distance(Usual(0.02, 60, 1000), 300, 1000)
    plane = copy_distance(Usual(0.02, 1, 1000), 300, 1000)
    assert wide == duplicates.NEAR
    assert tight == pytest.approx(duplicates.NEARER * 0.02)
    assert plane < 1e-5
    assert copy_distance(Usual(0.02, 2, 1000), 300, 4000) < copy_distance(
        Usual(0.02, 2, 1000), 300, 1000
    )


@pytest.mark.parametrize("dim", [2, 3, 4, 8, 32])
@pytest.mark.parametrize("count", [40, 400, 3000])
def test_chance_makes_no_copies(dim: int, count: int) -> None:
    for seed in range(5):
        vectors = unit(np.random.default_rng([dim, count, seed]).normal(size=(count, dim)))
        train, test = np.arange(count * 3 // 4), np.arange(count * 3 // 4, count)
        assert len(copies_across(vectors, [train, test]).rows) == 0


@pytest.mark.parametrize("cosine", [0.0, 0.9, 0.999, 0.9999])
@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("dim", [48, 64, 256])
def test_copies_are_found_with_their_partners(cosine: float, noise: float, dim: int) -> None:
    items = Shape(modalities=("image",), things=400, cosine=cosine, dim=dim).make(3)
    vectors = items.vectors.copy()
    rng = np.random.default_rng(4)
    train, test = (np.flatnonzero(items.split == name) for name in ("train", "test"))
    new, old = test[::9], train[::20][: len(test[::9])]
    moved = vectors[old] + noise * unit(rng.normal(size=(len(old), dim)))
    vectors[new] = unit(moved) if noise else vectors[old]
    copies = copies_across(vectors, [train, test])
    assert dict(zip(copies.rows, copies.partners, strict=True)) == dict(zip(new, old, strict=True))
    assert copies.compared == copies.rows_to_compare == len(test)


def test_equal_vectors_say_nothing_where_they_are_usual(rng: np.random.Generator) -> None:
    words = unit(rng.normal(size=(10, 16)))[np.arange(100) % 10]
    assert len(copies_across(words, [np.arange(70), np.arange(70, 100)]).rows) == 0


def test_one_split_has_no_copies(rng: np.random.Generator) -> None:
    vectors = unit(rng.normal(size=(10, 4)))
    assert copies_across(vectors, []).compared == 0
    assert copies_across(vectors, [np.arange(10), np.empty(0, int)]).rows_to_compare == 0


def test_what_is_too_much_is_sampled_and_said(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit(rng.normal(size=(400, 16)))
    vectors[300] = vectors[7]  # an exact copy is found in any case
    monkeypatch.setattr(duplicates, "PRODUCTS", 20 * 300 * (16 + duplicates.OVERHEAD))
    copies = copies_across(vectors, [np.arange(300), np.arange(300, 400)])
    assert (copies.compared, copies.rows_to_compare) == (20, 100)
    assert (copies.rows.tolist(), copies.partners.tolist()) == ([300], [7])


def test_memory_is_bounded_by_the_block(rng: np.random.Generator) -> None:
    vectors = unit(rng.normal(size=(40_000, 64)).astype(np.float32))
    tracemalloc.start()
    copies_across(vectors, [np.arange(38_000), np.arange(38_000, 40_000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * ROWS * COLUMNS * 4  # a few blocks of scores


def test_a_sample_is_told_in_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    items = Shape(modalities=("image",), things=100, dim=16, labelled=False).make(0)
    rows = [np.flatnonzero(items.split == name)[0] for name in ("test", "train")]
    broken = changed(items, "vectors", rows[0], items.vectors[rows[1]])
    monkeypatch.setattr(duplicates, "PRODUCTS", 10 * 70 * (16 + duplicates.OVERHEAD))
    (fault,) = lint(broken.select(broken.split == "test"), broken)
    assert fault.message.endswith("remove them (sought for 10 of 30, evenly)")
    assert fault.examples == tuple(items.path[rows[::-1]])
