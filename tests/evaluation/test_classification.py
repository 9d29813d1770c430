"""Classifiers read what the vectors hold, and nothing that they must not see."""

from __future__ import annotations

import numpy as np
import pytest

from mmembed.evaluation.classification import classify, nearest_neighbours


def clusters(rng: np.random.Generator, rows: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(rows) % 3
    vectors = np.eye(6)[labels] + noise * rng.normal(size=(rows, 6))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels.astype(str)


def test_clear_clusters_are_read_without_fault(rng: np.random.Generator) -> None:
    train, test = clusters(rng, 60, 0.1), clusters(rng, 30, 0.1)
    found = classify(train, test, np.arange(30).astype(str))
    assert [c.method for c in found] == ["k-NN", "linear probe"]
    for result in found:
        assert (result.accuracy, result.macro_f1) == (1.0, 1.0)
        assert result.labels == ["0", "1", "2"]
        assert result.confusion.tolist() == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
        assert result.protocol == "60 training rows → 30 test rows"


def test_folds_never_cut_a_group(rng: np.random.Generator) -> None:
    """Labels that only a group's other rows could tell are at chance."""
    groups = np.repeat(np.arange(40), 5)
    labels = np.array(["a", "b"])[rng.integers(0, 2, 40)][groups]
    places = rng.normal(size=(40, 16))[groups] + 0.01 * rng.normal(size=(200, 16))
    vectors = places / np.linalg.norm(places, axis=1, keepdims=True)
    fair = classify(None, (vectors, labels), groups.astype(str))
    leaky = classify(None, (vectors, labels), np.arange(200).astype(str))
    assert all("5 folds of 200 rows, stratified, groups never cut" in c.protocol for c in fair)
    assert leaky[0].accuracy == 1.0
    assert fair[0].accuracy < 0.75


def test_confusion_counts_every_row(rng: np.random.Generator) -> None:
    vectors, labels = clusters(rng, 45, 0.8)
    for result in classify(None, (vectors, labels), np.arange(45).astype(str)):
        assert result.confusion.sum() == 45
        assert np.trace(result.confusion) / 45 == pytest.approx(result.accuracy)


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (["a"] * 6, range(6)),
        (["a", "b", "c", "d", "e", "f"], range(6)),
        (["a", "b"] * 3, [0] * 6),
    ],
    ids=["one class", "a row a class", "one group"],
)
def test_nothing_to_learn_gives_no_result(labels: list[str], groups: list[int]) -> None:
    vectors = np.eye(6)
    assert classify(None, (vectors, np.array(labels)), np.array(groups).astype(str)) == []


def test_nearer_neighbours_weigh_more() -> None:
    train = np.array([[1, 0], [0, 1], [0, 1]], float)
    test = np.array([[0.99, 0.14]])
    assert nearest_neighbours(train, np.array(["near", "far", "far"]), test).tolist() == ["near"]
