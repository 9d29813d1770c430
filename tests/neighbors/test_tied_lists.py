"""Lists of neighbours: the nearest, none of them oneself, and ties shared fairly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.neighbors.tied_lists as tied_lists_
from mmembed.neighbors.tied_lists import tied_lists

from .unit_vectors import unit


def table(queries: np.ndarray, targets: np.ndarray, count: int, same: bool = False) -> np.ndarray:
    """Return the shares as a dense ``(queries, targets)``."""
    shares = np.zeros((len(queries), len(targets)))
    for lists in tied_lists(queries, targets, count, same):
        shares[lists.start + lists.row, lists.column] = lists.share
    return shares


def test_without_ties_lists_hold_the_nearest_whole(rng: np.random.Generator) -> None:
    queries, targets = unit(rng, 20), unit(rng, 50)
    best = np.argsort(-(queries.astype(float) @ targets.T.astype(float)), axis=1)[:, :7]
    expected = np.zeros((20, 50))
    np.put_along_axis(expected, best, 1.0, 1)
    assert np.array_equal(table(queries, targets, 7), expected)


def test_no_row_is_its_own_neighbour_though_copies_may_be(rng: np.random.Generator) -> None:
    vectors = np.repeat(unit(rng, 5), 2, axis=0)
    shares = table(vectors, vectors, 1, same=True)
    copy = np.arange(10) ^ 1
    assert np.array_equal(shares, np.eye(10)[copy])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=9), st.integers(1, 9), st.booleans())
def test_copies_share_places_and_lists_keep_their_length(
    places: list[int], count: int, same: bool
) -> None:
    vectors = unit(np.random.default_rng(1), 4)[places]
    shares = table(vectors, vectors, count, same)
    length = min(count, len(places) - same)
    assert np.allclose(shares.sum(1), length)
    assert shares.max() <= 1
    codes = np.array(places)
    for row in range(len(places)):
        for place in set(places):
            copies = shares[row, (codes == place) & ~(same & (np.arange(len(places)) == row))]
            assert np.ptp(copies) < 1e-12 if len(copies) else True


def test_blocks_give_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    vectors = unit(rng, 40)
    whole = table(vectors, vectors, 5, same=True)
    monkeypatch.setattr(tied_lists_, "BLOCK_SCORES", 130)
    assert np.array_equal(table(vectors, vectors, 5, same=True), whole)
    assert [lists.start for lists in tied_lists(vectors, vectors, 5)] == list(range(0, 40, 3))


def test_nothing_has_no_neighbours(rng: np.random.Generator) -> None:
    assert list(tied_lists(unit(rng, 0), unit(rng, 3), 2)) == []
    assert list(tied_lists(unit(rng, 3), unit(rng, 0), 2)) == []
    assert list(tied_lists(unit(rng, 1), unit(rng, 1), 2, same=True)) == []
