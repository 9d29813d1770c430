"""Numbers about how vectors lie, against cases with a known answer."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

import mmembed.evaluation.space_geometry as geometry
import mmembed.neighbors.tied_lists as tied_lists
from mmembed.evaluation.space_geometry import (
    alignment,
    effective_rank,
    even_sample,
    hubness,
    modality_gap,
    neighbour_overlap,
    pca_map,
    tsne_map,
    uniformity,
)


def unit(rng: np.random.Generator, rows: int, dim: int = 8) -> np.ndarray:
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_effective_rank_counts_equal_directions() -> None:
    assert effective_rank(np.tile(np.eye(4), (5, 1))) == pytest.approx(4)
    assert effective_rank(np.tile(np.eye(4)[:1], (5, 1))) == pytest.approx(1)
    assert np.isnan(effective_rank(np.empty((0, 4))))
    assert np.isnan(effective_rank(np.array([[np.nan, 1.0], [0.0, 1.0]])))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.integers(0, 1000))
def test_effective_rank_is_that_of_the_singular_values(
    rows: int, dim: int, directions: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(rows, directions)) @ rng.normal(size=(directions, dim))).astype(
        "f4"
    )
    values = np.linalg.svd(vectors.astype(float), compute_uv=False)
    share = values[values > 1e-6 * values.max()] / values.sum()
    expected = np.exp(-(share * np.log(share)).sum())
    assert effective_rank(vectors) == pytest.approx(expected, rel=1e-3)


def test_effective_rank_of_blocks_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    vectors = unit(rng, 100)
    whole = effective_rank(vectors)
    monkeypatch.setattr(geometry, "ROWS_AT_ONCE", 7)
    assert effective_rank(vectors) == pytest.approx(whole, rel=1e-12)


def test_effective_rank_makes_no_float64_copy(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((400_000, 32), dtype=np.float32)
    tracemalloc.start()
    rank = effective_rank(vectors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 3
    assert rank == pytest.approx(32, rel=1e-3)


def test_gap_and_alignment_of_known_places() -> None:
    first, second = np.array([[1.0, 0], [1, 0]]), np.array([[0, 1.0], [1, 0]])
    assert modality_gap(first, second) == pytest.approx(2**-0.5)
    assert alignment(first, second) == pytest.approx(1.0)
    assert alignment(first, first) == 0
    assert np.isnan(alignment(first[:0], second[:0]))


def test_alignment_of_blocks_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    first, second = unit(rng, 50), unit(rng, 50)
    expected = ((first.astype(float) - second) ** 2).sum(1).mean()
    monkeypatch.setattr(geometry, "ROWS_AT_ONCE", 8)
    assert alignment(first, second) == pytest.approx(expected, rel=1e-12)


def test_uniformity_is_lower_where_vectors_spread() -> None:
    same, apart = np.tile([[1.0, 0]], (4, 1)), np.array([[1.0, 0], [-1, 0]])
    assert uniformity(same) == pytest.approx(0)
    assert uniformity(apart) == pytest.approx(-8)
    assert np.isnan(uniformity(apart[:1]))


def test_a_planted_hub_is_found() -> None:
    """Spokes at right angles whose nearest is always the hub, which lies nearest to the first."""
    spokes = np.eye(20)
    hub = np.ones(20)
    hub[0] += 0.1
    hubs = hubness(np.concatenate([[hub / np.linalg.norm(hub)], spokes]), neighbours=1)
    times = [20, 1, *[0] * 19]
    assert hubs.skewness == pytest.approx(skew(times))
    assert hubs.skewness > 4
    assert hubs.anti_hubs == pytest.approx(19 / 21)
    assert hubs.most == 20


def test_hubness_counts_lists_as_a_sort_does(rng: np.random.Generator) -> None:
    vectors = unit(rng, 300, 30)
    scores = vectors.astype(float) @ vectors.T.astype(float)
    np.fill_diagonal(scores, -np.inf)
    times = np.bincount(np.argsort(-scores, axis=1)[:, :10].ravel(), minlength=300)
    hubs = hubness(vectors)
    assert hubs.skewness == pytest.approx(skew(times))
    assert hubs.anti_hubs == pytest.approx((times == 0).mean())
    assert hubs.most == times.max()


def test_copies_are_no_hubs(rng: np.random.Generator) -> None:
    same = hubness(np.repeat(unit(rng, 1), 50, axis=0))
    assert (same.skewness, same.anti_hubs) == (0, 0)
    assert same.most == pytest.approx(10)
    copies = hubness(np.repeat(unit(rng, 4), 30, axis=0))
    assert (copies.skewness, copies.anti_hubs) == (0, 0)
    assert np.isnan(hubness(unit(rng, 2)).skewness)


def test_hubness_and_overlap_compare_no_more_rows_than_asked(rng: np.random.Generator) -> None:
    first, second = unit(rng, 200), unit(rng, 200)
    chosen = even_sample(200, 50)
    assert hubness(first, most=50) == hubness(first[chosen])
    assert hubness(first, most=50) != hubness(first)
    expected = neighbour_overlap(first[chosen], second[chosen])
    assert neighbour_overlap(first, second, most=50) == expected


def test_a_space_shares_all_neighbours_with_itself_turned_into_more_dimensions(
    rng: np.random.Generator,
) -> None:
    vectors = unit(rng, 120)
    turned = vectors @ np.linalg.qr(rng.normal(size=(12, 12)))[0][:8]
    assert neighbour_overlap(vectors, turned) == pytest.approx(1)
    copies = np.repeat(vectors[:30], 4, axis=0)
    assert neighbour_overlap(copies, copies) == pytest.approx(1)


def test_unrelated_and_constant_spaces_share_neighbours_by_chance(rng: np.random.Generator) -> None:
    first, second = unit(rng, 400), unit(rng, 400, 5)
    chance = 10 / 399
    assert neighbour_overlap(first, second) == pytest.approx(chance, abs=0.01)
    constant = np.repeat(unit(rng, 1), 400, axis=0)
    assert neighbour_overlap(first, constant) == pytest.approx(chance, abs=1e-9)


def test_overlap_of_a_case_by_hand() -> None:
    """On a circle each point's nearest is the next one; moving one point changes two lists."""

    def on_circle(degrees: list[float]) -> np.ndarray:
        angles = np.radians(degrees)
        return np.stack([np.cos(angles), np.sin(angles)], 1)

    first, second = on_circle([0, 10, 90, 105]), on_circle([0, 99, 90, 105])
    # nearest in the first: 1, 0, 3, 2; in the second: 2, 3, 1, 1
    assert neighbour_overlap(first, second, neighbours=1) == 0
    third = on_circle([0, 10, 90, 81])
    # nearest in the third: 1, 0, 3, 2
    assert neighbour_overlap(first, third, neighbours=1) == 1
    fourth = on_circle([0, 10, 15, 105])
    # nearest in the fourth: 1, 2, 1, 2
    assert neighbour_overlap(first, fourth, neighbours=1) == 0.5
    assert np.isnan(neighbour_overlap(first[:1], second[:1]))


def test_overlap_of_blocks_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    first = unit(rng, 60)
    second = first + 0.3 * unit(rng, 60)
    whole, hubs = neighbour_overlap(first, second), hubness(first)
    monkeypatch.setattr(tied_lists, "BLOCK_SCORES", 200)
    assert neighbour_overlap(first, second) == pytest.approx(whole, rel=1e-12)
    assert hubness(first) == hubs
    assert 0.1 < whole < 0.9


def test_sample_is_even_and_within_bounds() -> None:
    assert even_sample(0, 5).tolist() == []
    assert even_sample(3, 5).tolist() == [0, 1, 2]
    assert even_sample(101, 3).tolist() == [0, 50, 100]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 40])
def test_maps_have_a_finite_place_for_every_vector(rows: int, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(rows, 6))
    for places in (tsne_map(vectors), pca_map(vectors)):
        assert places.shape == (rows, 2)
        assert np.isfinite(places).all()


def test_map_is_the_same_every_time(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(30, 6))
    assert np.array_equal(tsne_map(vectors), tsne_map(vectors))
    assert np.isfinite(tsne_map(np.ones((30, 6)))).all()
