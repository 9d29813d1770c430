"""The linear probe: logistic regression whose strength is chosen without a look at copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import mmembed.evaluation.classification.probe as probe
from mmembed.evaluation.classification.labelled import Labelled, group_folds
from mmembed.evaluation.classification.probe import STRENGTHS, choose_strength, linear_probe


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def blobs(rng: np.random.Generator, rows: int, classes: int, noise: float) -> Labelled:
    """Return rows around the centres of equally many classes."""
    labels = np.arange(rows) % classes
    centres = np.random.default_rng(9).normal(size=(classes, 12))
    vectors = unit(centres[labels] + noise * rng.normal(size=(rows, 12))).astype(np.float32)
    return Labelled(vectors, labels.astype(str), np.arange(rows).astype(str))


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 15), st.integers(0, 10_000))
def test_folds_cut_no_group_and_leave_no_row_out(
    rows: int, classes: int, groups: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, of = rng.integers(0, classes, rows).astype(str), rng.integers(0, groups, rows)
    parts = group_folds(labels, of, 5)
    assert len(parts) != 1
    for inside, outside in parts:
        assert not set(of[inside]) & set(of[outside])
        assert sorted([*inside, *outside]) == list(range(rows))
    if parts:
        assert sorted(i for _, outside in parts for i in outside) == list(range(rows))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 70))
def test_a_sample_has_its_share_of_every_class_in_any_order(labels: list[int], most: int) -> None:
    rng = np.random.default_rng(0)
    names = np.array(labels).astype(str)
    rows = Labelled(rng.normal(size=(len(names), 3)), names, rng.integers(0, 9, len(names)))
    chosen = rows.arranged(most)
    assert len(set(chosen)) == len(chosen) <= most
    counts = {name: int((names == name).sum()) for name in set(names)}
    if most >= len(names):
        assert len(chosen) == len(names)
    elif most > len(counts):
        for name, count in counts.items():
            kept = int((names[chosen] == name).sum())
            assert kept >= 1
            assert abs(kept - count * most / len(names)) <= len(counts)
    order = rng.permutation(len(names))
    assert order[rows.select(order).arranged(most)].tolist() == chosen.tolist()


def test_strength_is_chosen_as_if_copies_were_one(rng: np.random.Generator) -> None:
    """Groups of near copies, a fifth of them labelled wrong: learning by heart must not pay."""
    groups = np.repeat(np.arange(90), 5)
    truth = rng.integers(0, 2, 90)
    places = rng.normal(size=(90, 30))
    places[:, 0] += 3 * (2 * truth - 1)
    labels = np.array(["a", "b"])[np.where(rng.random(90) < 0.2, 1 - truth, truth)]
    vectors = unit(places[groups] + 0.05 * rng.normal(size=(450, 30)))
    fair = Labelled(vectors, labels[groups], groups.astype(str))
    leaky = Labelled(vectors, labels[groups], np.arange(450).astype(str))
    assert choose_strength(fair) == STRENGTHS[0]
    assert choose_strength(leaky) == STRENGTHS[-1]


def test_without_folds_the_strength_is_the_middle_one(rng: np.random.Generator) -> None:
    train = blobs(rng, 6, 3, 0.1)
    one_group = Labelled(train.vectors, train.labels, np.zeros(6))
    assert choose_strength(one_group) == 10
    assert linear_probe(one_group).strength == 10


def test_few_rows_of_many_noisy_classes_get_the_strength_that_serves_them(
    rng: np.random.Generator,
) -> None:
    """Too strong a penalty leaves only the prior, and must be seen to be worse."""
    centres = rng.normal(size=(30, 64))
    labels = rng.integers(0, 30, 800)
    vectors = unit(centres[labels] + 2 * rng.normal(size=(800, 64)))
    rows = Labelled(vectors, labels.astype(str), np.arange(800).astype(str))
    train, test = rows.select(np.arange(400)), rows.select(np.arange(400, 800))
    probe = linear_probe(train)
    right = [
        LogisticRegression(C=c, max_iter=1000)
        .fit((train.vectors - train.vectors.mean(0)), train.labels)
        .score((test.vectors - train.vectors.mean(0)), test.labels)
        for c in STRENGTHS
    ]
    assert probe.strength > STRENGTHS[0]
    assert (probe.predict(test.vectors) == test.labels).mean() > max(right) - 0.03
    assert max(right) > right[0] + 0.03


def test_is_logistic_regression_of_the_chosen_strength(rng: np.random.Generator) -> None:
    train, test = blobs(rng, 200, 4, 2.0), blobs(rng, 100, 4, 2.0)
    probe = linear_probe(train)
    centre = train.vectors.mean(0, dtype=float)
    length = np.sqrt(((train.vectors - centre) ** 2).sum(1).mean())
    model = LogisticRegression(C=probe.strength, max_iter=2000, tol=1e-8)
    model.fit((train.vectors - centre) / length, train.labels)
    expected = model.decision_function((test.vectors - centre) / length)
    assert probe.converged
    assert probe.rows == 200
    scores = probe.scores(test.vectors, probe.classes)
    assert np.abs(scores - expected).max() < 0.02 * np.ptp(expected)
    assert 0.4 < (probe.predict(test.vectors) == test.labels).mean() < 1


def test_two_classes_score_opposite(rng: np.random.Generator) -> None:
    train = blobs(rng, 60, 2, 0.3)
    probe = linear_probe(train)
    scores = probe.scores(train.vectors, np.array(["0", "1", "2"]))
    assert np.allclose(scores[:, 0], -scores[:, 1])
    assert (scores[:, 2] == -np.inf).all()
    assert (probe.predict(train.vectors) == train.labels).all()


def test_a_narrow_cone_is_read_as_well_as_a_wide_one(rng: np.random.Generator) -> None:
    """Squeezed towards one direction, vectors tell the same, and the probe says the same."""
    train, test = blobs(rng, 200, 4, 1.5), blobs(rng, 200, 4, 1.5)
    offset = 20 * np.ones(12)
    narrow = Labelled((train.vectors + offset) / 100, train.labels, train.groups)
    wide = linear_probe(train).predict(test.vectors)
    assert (linear_probe(narrow).predict((test.vectors + offset) / 100) == wide).mean() > 0.99


def test_order_of_rows_does_not_matter(rng: np.random.Generator) -> None:
    train, test = blobs(rng, 90, 3, 2.0), blobs(rng, 50, 3, 2.0)
    first = linear_probe(train)
    second = linear_probe(train.select(rng.permutation(90)))
    assert first.strength == second.strength
    assert np.allclose(
        first.scores(test.vectors, first.classes), second.scores(test.vectors, first.classes)
    )


def test_more_rows_than_can_be_fitted_are_cut_down_evenly(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    train = blobs(rng, 300, 3, 0.5)
    assert linear_probe(train).rows == 300
    monkeypatch.setattr(probe, "LEAST_ROWS", 60)
    monkeypatch.setattr(probe, "WORK", 100 * 12 * 3)
    result = linear_probe(train)
    assert result.rows == 99
    assert (result.predict(train.vectors) == train.labels).mean() > 0.95
