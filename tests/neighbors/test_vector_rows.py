"""Rows, selected, projected or in bags, without a copy of all of them."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.neighbors.vector_rows import (
    Bags,
    ProjectedRows,
    SelectedRows,
    as_bags,
    squared_lengths,
)

from .unit_vectors import dense, unit


def test_selected_rows_are_read_by_slice_and_by_index(rng: np.random.Generator) -> None:
    vectors, index = unit(rng, 10), np.array([7, 2, 2, 9])
    rows = SelectedRows(vectors, index)
    assert len(rows) == 4
    assert np.array_equal(rows[1:3], vectors[[2, 2]])
    assert np.array_equal(rows[np.array([3, 0])], vectors[[9, 7]])


def test_products_of_projected_rows_are_most_where_the_distance_is_least(
    rng: np.random.Generator,
) -> None:
    """In the projected space, where rows are no longer of unit length."""
    vectors = unit(rng, 40, 12)
    projection = np.linalg.qr(rng.normal(size=(12, 4)))[0].astype(np.float32)
    rows = ProjectedRows(vectors, projection)
    assert (len(rows), rows[:5].shape, rows[:5].dtype) == (40, (5, 5), np.float32)
    asked = vectors[:10] @ projection
    products = np.column_stack([asked, np.ones(10, np.float32)]) @ rows[10:].T
    distances = np.linalg.norm(asked[:, None] - vectors[10:] @ projection, axis=2)
    assert (products.argmax(1) == distances.argmin(1)).all()


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_selected_bags_keep_their_rows(lengths: list[int], data: st.DataObject) -> None:
    starts = np.append(0, np.cumsum(lengths))[:-1]
    vectors = unit(np.random.default_rng(0), sum(lengths))
    bags = Bags(vectors, starts)
    index = data.draw(st.lists(st.integers(0, len(lengths) - 1)))
    chosen = bags.select(np.array(index, int))
    assert len(chosen) == len(index)
    for bag, (start, end) in zip(index, zip(chosen.starts, chosen.ends, strict=True), strict=True):
        expected = vectors[starts[bag] : starts[bag] + lengths[bag]]
        assert np.array_equal(chosen.vectors[start:end], expected)
    assert bags.single == (set(lengths) == {1})


def test_vectors_are_bags_of_one_each_and_bags_stay_bags(rng: np.random.Generator) -> None:
    vectors = unit(rng, 4)
    bags = as_bags(vectors)
    assert bags.single
    assert bags.ends.tolist() == [1, 2, 3, 4]
    assert np.shares_memory(bags.vectors, vectors)
    assert as_bags(bags) is bags


def test_squared_lengths_are_exact_and_tell_what_is_not_finite(rng: np.random.Generator) -> None:
    vectors = 3 * unit(rng, 6)
    vectors[1, 0], vectors[2, 0], vectors[3] = np.nan, np.inf, 0
    squares = squared_lengths(vectors)
    assert np.isfinite(squares).tolist() == [True, False, False, True, True, True]
    assert squares[3] == 0
    assert np.allclose(squares[4:], [dense(v[None], v[None])[0, 0] for v in vectors[4:]])
    huge = np.full((1, 4), 3e38, np.float32)
    assert not np.isfinite(squared_lengths(huge)).any()  # and no warning


def test_squared_lengths_make_no_copy(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(50_000, 32)).astype(np.float32)
    tracemalloc.start()
    squared_lengths(vectors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 8
