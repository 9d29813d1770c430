"""Metrics of a classification: equal to scikit-learn's, fair to ties, and as sure as they say."""

from __future__ import annotations

import warnings
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    top_k_accuracy_score,
)

from mmembed.evaluation.classification.scores import (
    METRICS,
    Outcome,
    confusion,
    intervals,
    metrics,
    outcome,
)
from mmembed.evaluation.statistics import interval, resampled


def measured(result: Outcome, truth: np.ndarray) -> dict[str, float]:
    return metrics(confusion(result, truth).toarray(), float(result.top.mean()))


def certain(predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return scores that are 1 for the predicted class."""
    return np.eye(classes)[predicted]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(2, 9), st.integers(0, 10_000))
def test_equal_to_scikit_learn_where_nothing_ties(rows: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    scores = rng.permuted(np.tile(np.arange(classes, dtype=float), (rows, 1)), axis=1)
    predicted, result = scores.argmax(1), outcome(scores, truth)
    metrics = measured(result, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = balanced_accuracy_score(truth, predicted)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert metrics["balanced accuracy"] == pytest.approx(balanced)
    assert metrics["macro F1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    expected = confusion_matrix(truth, predicted, labels=np.arange(classes))
    assert confusion(result, truth).toarray().tolist() == expected.tolist()
    assert result.predicted.tolist() == predicted.tolist()
    assert result.hits(truth).tolist() == (predicted == truth).tolist()
    if classes > 5:
        top = top_k_accuracy_score(truth, scores, k=5, labels=np.arange(classes))
        assert metrics["top-5 accuracy"] == pytest.approx(top)
    else:
        assert np.isnan(metrics["top-5 accuracy"])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=6, max_size=6), st.integers(0, 5))
def test_ties_are_the_mean_over_all_orders(scores: list[float], truth: int) -> None:
    orders = [
        order
        for order in permutations(range(6))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    result = outcome(np.array([scores]), np.array([truth]))
    for c in range(6):
        first = np.mean([order[0] == c for order in orders])
        assert result.shares[0, c] == pytest.approx(first)
    assert result.top[0] == pytest.approx(np.mean([truth in order[:5] for order in orders]))


def test_an_unknown_class_is_never_among_the_best_five() -> None:
    scores = np.array([[0.5, 0.4, 0.3, -np.inf, -np.inf, -np.inf], [0.0, 0, 0, 0, 0, 0]])
    assert outcome(scores, np.array([3, 3])).top.tolist() == [0, pytest.approx(5 / 6)]


def test_every_draw_is_measured_as_the_rows_it_repeats(rng: np.random.Generator) -> None:
    truth, groups = rng.integers(0, 4, 30), rng.integers(0, 12, 30)
    scores = rng.integers(0, 3, (30, 4)).astype(float)
    result = outcome(scores, truth)
    bounds = intervals([outcome(rng.random((30, 4)), truth), result], truth, groups)[1]
    samples: dict[str, list[float]] = {name: [] for name in METRICS}
    for weights in resampled(groups):
        for draw in weights.astype(int):
            rows = np.repeat(np.arange(30), draw)
            again = measured(outcome(scores[rows], truth[rows]), truth[rows])
            for name, value in again.items():
                samples[name].append(value)
    for name in ("accuracy", "balanced accuracy", "macro F1"):
        expected = interval(np.array(samples[name]), len(set(groups)))
        assert bounds[name] == pytest.approx(expected), name
    assert np.isnan(bounds["top-5 accuracy"]).all()


def test_all_right_is_as_sure_as_there_are_groups() -> None:
    truth, groups = np.repeat([0, 1], [30, 10]), np.arange(40)
    bounds = intervals([outcome(certain(truth, 2), truth)], truth, groups)[0]
    assert bounds["accuracy"] == pytest.approx((0.025 ** (1 / 40), 1))
    assert bounds["balanced accuracy"] == pytest.approx((0.025 ** (1 / 20), 1))
    assert bounds["macro F1"] == bounds["balanced accuracy"]
    wrong = intervals([outcome(certain(1 - truth, 2), truth)], truth, groups)[0]
    assert wrong["accuracy"] == pytest.approx((0, 1 - 0.025 ** (1 / 40)))
    one = intervals([outcome(certain(truth, 2), truth)], truth, np.zeros(40))[0]
    assert np.isnan(one["accuracy"]).all()


def test_interval_is_wider_where_rows_are_copies(rng: np.random.Generator) -> None:
    truth = np.repeat(rng.integers(0, 2, 30), 10)
    right = np.repeat(rng.random(30) < 0.7, 10)
    result = outcome(certain(np.where(right, truth, 1 - truth), 2), truth)
    alone = intervals([result], truth, np.arange(300))[0]
    grouped = intervals([result], truth, np.repeat(np.arange(30), 10))[0]
    for name in ("accuracy", "balanced accuracy", "macro F1"):
        width = np.ptp(grouped[name]) / np.ptp(alone[name])
        assert 2.2 < width < 4.5, name  # the root of 10, and a little for few groups


def test_intervals_hold_the_truth() -> None:
    """In 200 experiments with known chances, about 95 % of the intervals contain what is true."""
    rng = np.random.default_rng(3)
    share, skill = np.array([0.5, 0.3, 0.2]), np.array([0.9, 0.6, 0.4])
    true = {"accuracy": float(share @ skill), "balanced accuracy": float(skill.mean())}
    joint = share[:, None] * np.where(
        np.eye(3, dtype=bool), skill[:, None], (1 - skill[:, None]) / 2
    )
    true["macro F1"] = float((2 * np.diag(joint) / (joint.sum(0) + joint.sum(1))).mean())
    held = dict.fromkeys(true, 0)
    for _ in range(200):
        truth = np.repeat(rng.choice(3, 60, p=share), 2)
        right = np.repeat(rng.random(60), 2) < skill[truth]
        other = (truth + np.repeat(rng.integers(1, 3, 60), 2)) % 3
        result = outcome(certain(np.where(right, truth, other), 3), truth)
        bounds = intervals([result], truth, np.repeat(np.arange(60), 2))[0]
        for name, value in true.items():
            held[name] += bounds[name][0] <= value <= bounds[name][1]
    for name, count in held.items():
        assert 180 <= count <= 199, name
