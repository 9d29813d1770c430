"""One number of all queries: what it is, and intervals that are drawn once for many metrics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmembed.evaluation.retrieval.abstention import abstention
from mmembed.evaluation.retrieval.aggregates import ABSTENTION, MEAN, MEDIAN, Aggregate

ALL = [MEAN, MEDIAN, ABSTENTION]
VALUES = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))


@settings(deadline=None)
@given(VALUES)
def test_numbers_are_those_of_numpy(values: np.ndarray) -> None:
    sure = values[::-1].copy()
    assert MEAN.of(values, sure) == values.mean()
    assert MEDIAN.of(values, sure) == np.median(values)
    expected = abstention(values, sure)
    assert ABSTENTION.of(values, sure) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("aggregate", ALL, ids=["mean", "median", "abstention"])
def test_intervals_of_many_columns_are_those_of_each(
    rng: np.random.Generator, aggregate: Aggregate
) -> None:
    columns, sure, clusters = rng.random((30, 3)), rng.random(30), np.arange(30) // 2
    together = aggregate.intervals(columns, sure, clusters)
    alone = [aggregate.intervals(columns[:, i : i + 1], sure, clusters)[0] for i in range(3)]
    assert np.allclose(together, alone, atol=1e-12)
    for (low, high), column in zip(together, columns.T, strict=True):
        assert low <= aggregate.of(column, sure) <= high


@pytest.mark.parametrize("aggregate", ALL, ids=["mean", "median", "abstention"])
def test_one_cluster_says_nothing_of_how_sure_a_number_is(
    rng: np.random.Generator, aggregate: Aggregate
) -> None:
    (ends,) = aggregate.intervals(rng.random((9, 1)), rng.random(9), np.zeros(9, int))
    assert np.isnan(ends).all()


@settings(deadline=None, max_examples=30)
@given(VALUES, st.integers(0, 99))
def test_the_order_of_queries_changes_no_number(values: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sure, order = rng.random(len(values)), rng.permutation(len(values))
    for aggregate in ALL:
        one, other = aggregate.of(values, sure), aggregate.of(values[order], sure[order])
        assert one == pytest.approx(other, abs=1e-9, nan_ok=True)


def test_the_mean_of_values_that_all_agree_still_has_an_interval() -> None:
    (low, high), (least, most) = MEAN.intervals(
        np.stack([np.ones(20), np.zeros(20)], 1), np.zeros(20), np.arange(20)
    )
    assert 0.7 < low < high == 1
    assert 0 == least < most < 0.3
