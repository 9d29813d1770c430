"""Exact neighbours: those of all float64 cosines, by whatever way they are computed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.neighbors.exact as exact
import mmembed.neighbors.products as products
import mmembed.neighbors.screening as screening
from mmembed.errors import MmembedError
from mmembed.neighbors.distances import nearest_distances
from mmembed.neighbors.exact import Ranks, RankSearch, top_k
from mmembed.neighbors.products import one_excluded
from mmembed.neighbors.tied_lists import tied_lists
from mmembed.neighbors.vector_rows import Bags

from .unit_vectors import dense, ranges, unit, with_repeats, without

SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 10_000)


def ranks_of(search: RankSearch, wanted: list[np.ndarray], size: int) -> list[Ranks]:
    """The ranks of all queries, asked for in blocks of a size."""
    return [
        each
        for start in range(0, len(wanted), size)
        for each in search.ranks(
            range(start, min(start + size, len(wanted))), wanted[start : start + size]
        )
    ]


def plain_ranks(scores: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Before and size of the items' ties, counted among scores ``(items,)``."""
    own = scores[items][:, None]
    before = (scores > own + 1e-9).sum(1)
    return before, (np.abs(scores - own) <= 1e-9).sum(1)


@settings(deadline=None, max_examples=60)
@given(SIZES, SIZES, st.integers(1, 50), st.booleans(), SEEDS)
def test_top_k_is_that_of_all_cosines_sorted(
    queries: int, items: int, count: int, masked: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    asked, given_ = unit(rng, queries), with_repeats(rng, items, 8)
    excluded = ranges(rng, queries, items) if masked else np.zeros((queries, 2), int)
    scores = without(dense(asked, given_), excluded)
    places, best = top_k(asked, given_, count, excluded if masked else None)
    length = max(0, min(count, items - int((excluded[:, 1] - excluded[:, 0]).max())))
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :length]
    assert np.array_equal(places, expected)
    assert np.allclose(best, np.take_along_axis(scores, expected, 1), atol=1e-12, rtol=0)


@settings(deadline=None, max_examples=60)
@given(SIZES, SIZES, SEEDS)
def test_ranks_are_counts_of_better_and_equal_items(queries: int, items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked, given_ = unit(rng, queries), with_repeats(rng, items, 8)
    excluded = ranges(rng, queries, items)
    scores = without(dense(asked, given_), excluded)
    free = [np.flatnonzero(np.isfinite(row)) for row in scores]
    wanted = [row[rng.random(len(row)) < 0.4] for row in free]
    search = RankSearch(asked, given_, 3, excluded)
    for row, known, some, able in zip(
        scores, ranks_of(search, wanted, 7), wanted, free, strict=True
    ):
        before, size = plain_ranks(row, some)
        assert known.before.tolist() == before.tolist()
        assert known.size.tolist() == size.tolist()
        assert known.ranked == len(able)
        assert known.best == pytest.approx(row.max(), abs=1e-12)


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_screening_gives_what_sorting_gives(
    monkeypatch: pytest.MonkeyPatch, seed: int, within: bool
) -> None:
    rng = np.random.default_rng(seed)
    items = with_repeats(rng, 900)
    queries = items if within else with_repeats(rng, 300)
    excluded = one_excluded(np.arange(900)) if within else None
    wanted = [np.unique(rng.integers(0, 900, rng.integers(0, 5))) for _ in queries]
    wanted = [w[w != i] for i, w in enumerate(wanted)]
    by_sorting = ranks_of(RankSearch(queries, items, 5, excluded), wanted, 50)
    monkeypatch.setattr(screening, "FEWEST_ITEMS", 1)
    monkeypatch.setattr(screening, "TILE_ROWS", 64)
    monkeypatch.setattr(RankSearch, "_sorted", None)  # so that nothing is sorted
    search = RankSearch(queries, items, 5, excluded)
    assert search.block_size == exact.QUERIES
    for one, other in zip(by_sorting, ranks_of(search, wanted, 77), strict=True):
        assert one.before.tolist() == other.before.tolist()
        assert one.size.tolist() == other.size.tolist()
        assert (one.ranked, one.best) == (other.ranked, pytest.approx(other.best, abs=1e-12))


def test_where_nearly_all_ties_screening_gives_way(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    vectors = np.repeat(unit(rng, 1), 300, 0)
    wanted = [np.array([i // 2]) for i in range(300)]
    monkeypatch.setattr(screening, "FEWEST_ITEMS", 1)
    monkeypatch.setattr(screening, "MOST_CLOSE", 1000)
    for known in ranks_of(RankSearch(vectors, vectors, 1), wanted, 300):
        assert (known.before.tolist(), known.size.tolist(), known.ranked) == ([0], [300], 300)
    assert top_k(vectors, vectors, 3)[0].tolist() == [[0, 1, 2]] * 300


def test_many_wanted_items_are_sorted_and_few_are_screened(rng: np.random.Generator) -> None:
    items = unit(rng, screening.FEWEST_ITEMS, 2)
    assert RankSearch(items[:3], items, screening.MOST_WANTED).block_size == exact.QUERIES
    assert RankSearch(items[:3], items, screening.MOST_WANTED + 1).block_size < exact.QUERIES
    assert RankSearch(items[:3], items[1:], 1).block_size < exact.QUERIES


def test_bags_are_ranked_by_their_best_pair(rng: np.random.Generator) -> None:
    vectors = unit(rng, 12, 5)
    bags = Bags(vectors, np.array([0, 3, 4, 6]))
    parts = np.split(vectors, bags.starts[1:])
    best = np.array([[dense(a, b).max() for b in parts] for a in parts])
    places, scores = top_k(bags, bags, 2, one_excluded(np.arange(4)))
    np.fill_diagonal(best, -np.inf)
    assert np.array_equal(places, np.argsort(-best, axis=1)[:, :2])
    assert np.allclose(scores, -np.sort(-best, axis=1)[:, :2])
    known = RankSearch(bags, bags, 1).ranks(range(1, 3), [np.array([0]), np.array([3])])
    np.fill_diagonal(best, 1.0)
    for each, row, item in zip(known, best[1:3], (0, 3), strict=True):
        assert each.before[0] == (row > row[item] + 1e-9).sum()


@pytest.mark.parametrize("cores", [1, 2, 7])
def test_the_number_of_cores_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, cores: int
) -> None:
    queries, items = with_repeats(rng, 90), with_repeats(rng, 200)
    expected = np.argsort(-dense(queries, items), axis=1, kind="stable")[:, :9]
    monkeypatch.setattr(products.os, "cpu_count", lambda: cores)
    assert np.array_equal(top_k(queries, items, 9)[0], expected)


def test_an_empty_side_has_no_neighbours(rng: np.random.Generator) -> None:
    some, nothing = unit(rng, 3), unit(rng, 0)
    assert [each.shape for each in top_k(some, nothing, 2)] == [(3, 0), (3, 0)]
    assert [each.shape for each in top_k(nothing, some, 2)] == [(0, 0), (0, 0)]
    assert top_k(some, some, 0)[0].shape == (3, 0)


def test_one_item_is_the_neighbour_of_all_and_not_of_itself(rng: np.random.Generator) -> None:
    one = unit(rng, 1)
    assert top_k(unit(rng, 4), one, 5)[0].tolist() == [[0]] * 4
    assert top_k(one, one, 5, np.array([[0, 1]]))[0].shape == (1, 0)
    (known,) = RankSearch(one, one, 1).ranks(range(1), [np.array([0])])
    assert (known.before.tolist(), known.size.tolist(), known.ranked) == ([0], [1], 1)
    assert known.best == pytest.approx(1, abs=1e-6)


def test_who_is_compared_with_nothing_has_no_best_score(rng: np.random.Generator) -> None:
    vectors = unit(rng, 2)
    (known,) = RankSearch(vectors[:1], vectors, 1, np.array([[0, 2]])).ranks(
        range(1), [np.empty(0, int)]
    )
    assert (known.ranked, known.best, len(known.before)) == (0, -np.inf, 0)


SEARCHES: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "top_k": lambda queries, items: top_k(queries, items, 2),
    "ranks": lambda queries, items: RankSearch(queries, items, 1).ranks(
        range(len(queries)), [np.array([0])] * len(queries)
    ),
    "lists": lambda queries, items: list(tied_lists(queries, items, 2)),
    "distances": nearest_distances,
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused(
    rng: np.random.Generator, name: str, side: int, value: float
) -> None:
    both = [unit(rng, 5), unit(rng, 5)]
    both[side][3, 2] = value
    with pytest.raises(MmembedError, match="a vector to compare is NaN or infinite; leave such"):
        SEARCHES[name](*both)


def test_memory_is_bounded_whatever_the_number_of_pairs(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    queries, items = unit(rng, 4000, 8), unit(rng, 40_000, 8)
    monkeypatch.setattr(products.os, "cpu_count", lambda: 2)
    tracemalloc.start()
    top_k(queries, items, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000 * 40_000 * 4 / 8  # of the float32 scores of all pairs
