"""Nearest distances: those of all differences, in tiles of any size, and of copies too."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.neighbors.distances as distances_
from mmembed.neighbors.distances import nearest_distances
from mmembed.neighbors.products import one_excluded
from mmembed.neighbors.vector_rows import SelectedRows

from .unit_vectors import unit


def scaled(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 3), st.integers(0, 99))
def test_nearest_are_those_of_all_distances(asked: int, given_: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng, asked + given_)
    items = SelectedRows(vectors, np.arange(asked, asked + given_))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances_, "COLUMNS", 16)
        patch.setattr(distances_, "ROWS", 9)
        distances, places = nearest_distances(vectors[:asked], items, count)
    every = np.linalg.norm(vectors[:asked, None] - vectors[asked:], axis=2)
    wanted = np.sort(every, axis=1)[:, :count]
    assert np.allclose(distances[:, : wanted.shape[1]], wanted, atol=1e-6)
    assert np.isinf(distances[:, wanted.shape[1] :]).all()
    assert (places[:, wanted.shape[1] :] == -1).all()
    assert (places[:, 0] == every.argmin(1)).all()


def test_a_row_is_not_its_own_neighbour(rng: np.random.Generator) -> None:
    vectors = unit(rng, 30)
    rows = np.arange(30)[::3]
    _, places = nearest_distances(vectors[rows], vectors, 2, one_excluded(rows))
    assert not (places == rows[:, None]).any()


def test_alone_a_row_has_no_neighbour(rng: np.random.Generator) -> None:
    one = unit(rng, 1)
    distances, places = nearest_distances(one, one, 2, np.array([[0, 1]]))
    assert distances.tolist() == [[np.inf, np.inf]]
    assert places.tolist() == [[-1, -1]]


def test_an_empty_side_has_no_distances(rng: np.random.Generator) -> None:
    some, nothing = unit(rng, 3), unit(rng, 0)
    assert nearest_distances(nothing, some)[0].shape == (0, 1)
    distances, places = nearest_distances(some, nothing)
    assert np.isinf(distances).all()
    assert (places == -1).all()


def test_distances_below_what_products_can_tell_are_right(rng: np.random.Generator) -> None:
    vectors = unit(rng, 40, 64)
    copies = scaled(vectors + 1e-5 * unit(rng, 40, 64))
    distances, places = nearest_distances(vectors, copies)
    assert places[:, 0].tolist() == list(range(40))
    assert distances[:, 0] == pytest.approx(1e-5, rel=0.2)


def test_copies_are_the_nearest_in_fewer_dimensions_too(rng: np.random.Generator) -> None:
    vectors = unit(rng, 200, 64)
    copies = scaled(vectors[::-1] + 1e-3 * unit(rng, 200, 64))
    projection = np.linalg.qr(rng.normal(size=(64, 8)))[0].astype(np.float32)
    distances, places = nearest_distances(vectors, copies, projection=projection)
    assert places[:, 0].tolist() == list(range(200))[::-1]
    whole = np.linalg.norm(vectors - copies[::-1], axis=1)  # not those of the projections
    assert np.allclose(distances[:, 0], whole, atol=1e-6)


def test_rows_that_are_selected_are_never_copied_whole(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(40_000, 64)).astype(np.float32)
    items = SelectedRows(vectors, np.arange(1, 40_000))
    tracemalloc.start()
    nearest_distances(vectors[:5], items)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 3
