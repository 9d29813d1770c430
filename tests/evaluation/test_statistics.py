"""Intervals cover what they promise, tests reject as often as they may."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.evaluation import statistics
from mmembed.evaluation.statistics import (
    holm,
    interval,
    mean_interval,
    mean_intervals,
    median_interval,
    randomisation_test,
    resampled,
)

TRIALS = 1000


def coverage(drawn: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in drawn]))


@pytest.mark.parametrize(
    ("queries", "shape"),
    [(60, (0.5, 0.5)), (100, (2.0, 5.0)), (200, (4.0, 1.0)), (40, (1.0, 1.0))],
)
def test_intervals_of_a_mean_cover_it_in_95_of_100(
    monkeypatch: pytest.MonkeyPatch, queries: int, shape: tuple[float, float]
) -> None:
    """Average precisions of independent queries, from a beta distribution."""
    monkeypatch.setattr(statistics, "DRAWS", 400)
    rng = np.random.default_rng(queries)
    alone = np.arange(queries)
    drawn = []
    for seed in range(TRIALS):
        values = rng.beta(*shape, queries)
        few = list(resampled(alone, 400, seed))
        samples = np.concatenate([w @ values / w.sum(1) for w in few])
        drawn.append(interval(samples, queries))
    assert 0.93 <= coverage(drawn, shape[0] / sum(shape)) <= 0.97


def test_intervals_of_hits_of_clustered_queries_cover_the_truth() -> None:
    """Five queries a group that mostly hit or miss together; drawn apart they would not cover."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 5)
    by_group, apart = [], []
    for seed in range(TRIALS):
        chance = rng.choice([0.1, 0.9], 40, p=[0.3, 0.7])
        hits = (rng.random(200) < chance[groups]).astype(float)
        for clusters, drawn in ((groups, by_group), (np.arange(200), apart)):
            samples = [w @ hits / w.sum(1) for w in resampled(clusters, 400, seed)]
            drawn.append(interval(np.concatenate(samples), len(np.unique(clusters))))
    truth = 0.3 * 0.1 + 0.7 * 0.9
    assert 0.93 <= coverage(by_group, truth) <= 0.97
    assert coverage(apart, truth) < 0.85


def test_the_interval_of_a_median_covers_it(rng: np.random.Generator) -> None:
    intervals = [
        median_interval(rng.exponential(size=81), np.arange(81), seed) for seed in range(200)
    ]
    assert 0.90 <= coverage(intervals, np.log(2)) <= 0.99


def test_the_median_of_weights_is_that_of_copies(rng: np.random.Generator) -> None:
    values = rng.integers(0, 6, 9).astype(float)
    weights = next(iter(resampled(np.arange(9), 50)))
    copies = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    low, high = median_interval(values, np.arange(9))
    assert min(copies) <= low <= high <= max(copies) or low <= np.median(values) <= high
    order = np.argsort(values, kind="stable")
    below = weights[:, order].cumsum(1)
    half = below[:, -1:] / 2
    ours = [
        (values[order][(row >= h).argmax()] + values[order][(row > h).argmax()]) / 2
        for row, h in zip(below, half, strict=True)
    ]
    assert ours == copies


def test_all_hits_are_not_taken_for_certainty() -> None:
    low, high = mean_interval(np.ones(30), np.arange(30))
    assert (round(low, 4), high) == (0.8843, 1.0)  # Clopper and Pearson's for 30 of 30
    assert mean_interval(np.zeros(30), np.arange(30)) == pytest.approx((0.0, 1 - low))
    few, _ = mean_interval(np.ones(30), np.repeat(np.arange(3), 10))
    assert few < low


def test_one_cluster_says_nothing() -> None:
    assert np.isnan(mean_interval(np.array([0.2, 0.4]), np.zeros(2))).all()
    assert np.isnan(mean_interval(np.array([1.0]), np.zeros(1))).all()


def test_columns_share_their_draws(rng: np.random.Generator) -> None:
    values = rng.random((50, 3))
    clusters = rng.integers(0, 20, 50)
    together = mean_intervals(values, clusters)
    assert np.allclose(together, [mean_interval(column, clusters) for column in values.T])


def test_clusters_are_drawn_whole(rng: np.random.Generator) -> None:
    clusters = rng.integers(0, 7, 30)
    for weights in resampled(clusters, 40):
        for row in weights:
            assert all(len(set(row[clusters == c])) == 1 for c in np.unique(clusters))
        first = [np.flatnonzero(clusters == c)[0] for c in np.unique(clusters)]
        assert (weights[:, first].sum(1) == len(first)).all()


def test_blocks_of_draws_are_as_many_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "BLOCK_WEIGHTS", 95)
    assert sum(len(w) for w in resampled(np.arange(10), 50)) == 50


def test_swapping_is_exact_for_few_and_close_to_it_for_many(rng: np.random.Generator) -> None:
    differences = rng.normal(0.4, 1, 12)
    signs = np.array(list(product((1, -1), repeat=12)))
    exact = (abs(signs @ differences) >= abs(differences.sum()) - 1e-12).mean()
    assert randomisation_test(differences, np.arange(12)) == pytest.approx(exact)
    many = rng.normal(0.15, 1, 200)
    z = many.sum() / np.sqrt((many**2).sum())
    from scipy.stats import norm

    drawn = randomisation_test(many, np.arange(200))
    assert drawn == pytest.approx(2 * norm.sf(abs(z)), abs=0.02)


def test_equal_runs_are_never_told_apart(rng: np.random.Generator) -> None:
    assert randomisation_test(np.zeros(50), np.arange(50)) == 1.0


def test_without_a_difference_one_in_twenty_is_rejected() -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(20), 2)
    p_values = [
        randomisation_test(
            np.repeat(rng.normal(size=20), 2) + 0.1 * rng.normal(size=40), clusters, 500, seed
        )
        for seed in range(600)
    ]
    assert 0.03 <= np.mean(np.array(p_values) <= 0.05) <= 0.07


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.9, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.empty(0)).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_is_never_below_the_raw_value(values: list[float]) -> None:
    raw = np.array(values)
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert (adjusted <= 1).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
