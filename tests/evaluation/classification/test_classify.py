"""Classifiers read what the vectors hold, and nothing that they must not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mmembed.evaluation.classification.classify as classification
from mmembed.evaluation.classification.classify import classify, most_confused, neighbour_votes
from mmembed.evaluation.classification.labelled import Labelled
from mmembed.evaluation.classification.zero_shot import ClassVectors

LEARNT = ["k-NN", "prototypes", "linear probe"]
VALUES = ("accuracy", "balanced_accuracy", "macro_f1", "top5", "majority")


def clusters(rng: np.random.Generator, rows: int, noise: float, classes: int = 3) -> Labelled:
    labels = np.arange(rows) % classes
    vectors = np.eye(classes + 3)[labels] + noise * rng.normal(size=(rows, classes + 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Labelled(vectors, labels.astype(str), np.arange(rows).astype(str))


def texts(classes: int) -> ClassVectors:
    return ClassVectors(np.arange(classes).astype(str), np.eye(classes + 3)[:classes])


def test_clear_clusters_are_read_without_fault(rng: np.random.Generator) -> None:
    results = classify(clusters(rng, 60, 0.1), clusters(rng, 30, 0.1), texts(3))
    assert [c.method for c in results] == [*LEARNT, "zero-shot"]
    for result in results:
        assert (result.accuracy, result.balanced_accuracy, result.macro_f1) == (1, 1, 1)
        assert np.isnan(result.top5)
        assert result.intervals["accuracy"] == pytest.approx((0.025 ** (1 / 30), 1))
        assert result.labels == ["0", "1", "2"]
        assert result.confusion.tolist() == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
        assert result.hits.tolist() == [1] * 30
        assert most_confused(result) == []
    assert [c.protocol for c in results[:3]] == ["60 training rows → 30 test rows"] * 3


def test_folds_never_cut_a_group(rng: np.random.Generator) -> None:
    """Labels that only a group's other rows could tell are at chance."""
    groups = np.repeat(np.arange(40), 5)
    labels = np.array(["a", "b"])[rng.permutation(np.arange(40) % 2)][groups]
    places = rng.normal(size=(40, 16))[groups] + 0.01 * rng.normal(size=(200, 16))
    vectors = places / np.linalg.norm(places, axis=1, keepdims=True)
    fair = classify(None, Labelled(vectors, labels, groups.astype(str)))
    leaky = classify(None, Labelled(vectors, labels, np.arange(200).astype(str)))
    assert [c.method for c in fair] == LEARNT
    assert all(c.protocol == "5 folds of 200 rows, stratified, groups never cut" for c in fair)
    assert leaky[0].accuracy == 1.0
    assert all(c.accuracy < 0.75 for c in fair)
    low, high = fair[0].intervals["accuracy"]
    assert low < 0.5 < high


@pytest.mark.parametrize("learns", ["from a split", "by folds"])
def test_a_constant_encoder_is_at_chance(learns: str) -> None:
    """Whatever the classes, the same vector for all tells nothing."""
    even = np.repeat(["a", "b", "c", "d"], 50)
    uneven = np.repeat(["a", "b", "c", "d"], [20, 20, 20, 140])
    vectors = np.repeat(np.full((1, 7), 7**-0.5, np.float32), 200, axis=0)
    text = ClassVectors(np.array(["a", "b", "c", "d"]), np.eye(7, dtype=np.float32)[:4])
    for labels in (even, uneven):
        test = Labelled(vectors, labels, np.arange(200).astype(str))
        results = classify(test if learns == "from a split" else None, test, text)
        assert len(results) == 4
        for result in results:
            assert result.balanced_accuracy == pytest.approx(0.25, abs=0.02), result.method
            assert result.accuracy <= result.majority
    assert {c.method: c.accuracy for c in results}["prototypes"] == pytest.approx(0.25)
    assert {c.method: c.accuracy for c in results}["k-NN"] == pytest.approx(0.7)


def test_the_order_of_rows_changes_nothing(rng: np.random.Generator) -> None:
    test, train = clusters(rng, 120, 0.5, 8), clusters(rng, 100, 0.5, 8)
    test = replace(test, groups=(np.arange(120) // 3).astype(str))
    order, other = rng.permutation(120), rng.permutation(100)
    for learnt, again in ((None, None), (train, train.select(other))):
        first = classify(learnt, test, texts(8))
        second = classify(again, test.select(order), texts(8))
        for a, b in zip(first, second, strict=True):
            assert [getattr(a, v) for v in VALUES] == pytest.approx([getattr(b, v) for v in VALUES])
            assert a.intervals == b.intervals
            assert np.array_equal(a.confusion, b.confusion)
            assert a.predicted[order].tolist() == b.predicted.tolist()
            assert 0.3 < a.accuracy < 1


def test_numbers_of_a_result_agree(rng: np.random.Generator) -> None:
    test = clusters(rng, 90, 0.9, 9)
    for result in classify(None, test, texts(9)):
        assert result.confusion.sum() == pytest.approx(90)
        assert np.trace(result.confusion) / 90 == pytest.approx(result.accuracy)
        assert result.hits.mean() == pytest.approx(result.accuracy)
        assert (result.predicted == test.labels).mean() == pytest.approx(result.accuracy)
        assert result.rows.tolist() == list(range(90))
        assert result.accuracy < result.top5 < 1
        assert result.majority == pytest.approx(1 / 9)
        points = (result.accuracy, result.balanced_accuracy, result.macro_f1, result.top5)
        for point, (low, high) in zip(points, result.intervals.values(), strict=True):
            assert 0 <= low < point < high <= 1


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (["a"] * 6, range(6)),
        (["a", "b", "c", "d", "e", "f"], range(6)),
        (["a", "b"] * 3, [0] * 6),
        ([], []),
    ],
    ids=["one class", "a row a class", "one group", "no row"],
)
def test_nothing_to_learn_gives_no_result(labels: list[str], groups: list[int]) -> None:
    vectors = np.eye(6)[: len(labels)]
    test = Labelled(vectors, np.array(labels, str), np.array(groups).astype(str))
    assert classify(None, test) == []


def test_classes_that_training_lacks_are_wrong(rng: np.random.Generator) -> None:
    train, test = clusters(rng, 40, 0.05, 2), clusters(rng, 30, 0.05, 3)
    train = replace(train, vectors=np.pad(train.vectors, ((0, 0), (0, 1))))
    for result in classify(train, test):
        assert result.labels == ["0", "1", "2"]
        assert result.hits[test.labels == "2"].tolist() == [0] * 10
        assert result.confusion[:, 2].tolist() == [0, 0, 0]


def test_the_most_confused_come_first(rng: np.random.Generator) -> None:
    result = classify(None, clusters(rng, 60, 0.1))[0]
    counts = np.array([[5.0, 2, 0], [0, 9, 7], [2, 0.5, 6]])
    result = replace(result, labels=["x", "y", "z"], confusion=counts)
    assert most_confused(result, 3) == [("y", "z", 7), ("x", "y", 2), ("z", "x", 2)]
    assert most_confused(result)[3:] == [("z", "y", 0.5)]
    assert result.confusion[0, 0] == 5


def test_nearer_neighbours_weigh_more() -> None:
    train = Labelled(
        np.array([[1.0, 0], [0, 1], [0, 1]]), np.array(["near", "far", "far"]), np.arange(3)
    )
    test = Labelled(np.array([[0.99, 0.14]]), np.array(["near"]), np.arange(1))
    votes = neighbour_votes(train, test, np.array(["far", "near", "unseen"]))
    assert votes[0, 1] == pytest.approx(1)
    assert votes[0, 0] == pytest.approx(2 * np.exp((0.14 - 0.99) / 0.07))
    assert votes[0, 2] == -np.inf


def test_copies_beyond_the_tenth_share_the_votes(rng: np.random.Generator) -> None:
    """Thirty copies, a third of them of one class: their order must not decide."""
    labels = np.repeat(["a", "b"], [10, 20])
    train = Labelled(np.tile([[1.0, 0.0]], (30, 1)), labels, np.arange(30))
    test = Labelled(np.array([[1.0, 0.0]]), np.array(["a"]), np.arange(1))
    votes = neighbour_votes(train, test, np.array(["a", "b"]))
    assert votes[0].tolist() == pytest.approx([10 / 3, 20 / 3])


def test_rows_beyond_the_most_are_sampled_evenly_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(classification, "MOST_ROWS", 45)
    train, test = clusters(rng, 60, 0.2), clusters(rng, 90, 0.2)
    results = classify(train, test)
    for result in results:
        assert result.protocol == (
            "45 training rows → 45 test rows, sampled evenly by class from 90; "
            "training rows sampled evenly by class from 60"
        )
        assert len(result.rows) == len(result.predicted) == result.confusion.sum() == 45
        assert result.confusion.sum(1).tolist() == [15, 15, 15]
        assert (result.predicted == test.labels[result.rows]).mean() == result.accuracy
