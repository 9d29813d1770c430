"""Zero-shot: the nearest class vector, with nothing learnt and nothing given away."""

from __future__ import annotations

import numpy as np
import pytest

from mmembed.errors import ConfigError
from mmembed.evaluation.classification.classify import Classification, classify
from mmembed.evaluation.classification.labelled import Labelled
from mmembed.evaluation.classification.zero_shot import (
    ClassVectors,
    prototype_scores,
    zero_shot_scores,
)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rows(vectors: np.ndarray, labels: np.ndarray) -> Labelled:
    return Labelled(vectors, labels.astype(str), np.arange(len(labels)).astype(str))


def zero_shot(test: Labelled, given: ClassVectors) -> Classification:
    """Return what :func:`classify` says of zero-shot, the last of its methods."""
    result = classify(None, test, given)[-1]
    assert result.method == "zero-shot"
    return result


def test_predicts_the_class_whose_mean_prompt_is_nearest(rng: np.random.Generator) -> None:
    prompts, labels = unit(rng.normal(size=(12, 6))), np.repeat(["a", "b", "c"], 4)
    vectors, truth = unit(rng.normal(size=(50, 6))), rng.choice(["a", "b", "c"], 50)
    means = unit(np.stack([prompts[labels == name].mean(0) for name in "abc"]))
    expected = np.array(["a", "b", "c"])[(vectors @ means.T).argmax(1)]
    result = zero_shot(rows(vectors, truth), ClassVectors(labels, prompts))
    assert result.predicted.tolist() == expected.tolist()
    assert result.accuracy == (expected == truth).mean()
    assert result.protocol == "3 classes by 12 prompts → 50 test rows"


def test_mean_prompts_are_scaled_to_unit_length() -> None:
    """The mean of prompts that differ is short; unscaled, it would lose to a single prompt."""
    given = ClassVectors(
        np.array(["two", "two", "one"]), np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    )
    test = rows(np.array([[0.6, 0.8]]), np.array(["two"]))
    scores = zero_shot_scores(given, test, np.array(["one", "two"]))
    assert scores[0].tolist() == pytest.approx([0.96, 1.4 / 2**0.5])
    assert zero_shot(test, given).predicted.tolist() == ["two"]


def test_needs_no_training_and_no_folds() -> None:
    """A row a class leaves nothing to learn from, and zero-shot alone is told."""
    names = np.array(["a", "b", "c", "d", "e", "f"])
    results = classify(None, rows(np.eye(6), names), ClassVectors(names, np.eye(6)))
    assert [c.method for c in results] == ["zero-shot"]
    assert (results[0].accuracy, results[0].macro_f1, results[0].top5) == (1, 1, 1)


def test_a_row_is_never_helped_by_texts_of_its_own_group(rng: np.random.Generator) -> None:
    """Captions equal to their pictures, which tell nothing of the class, would look like skill."""
    vectors = unit(rng.normal(size=(300, 64))).astype(np.float32)
    truth, groups = np.repeat(np.arange(100), 3).astype(str), np.arange(300).astype(str)
    test = Labelled(vectors, truth, groups)
    leaky = zero_shot(test, ClassVectors(truth, vectors))
    fair = zero_shot(test, ClassVectors(truth, vectors, groups, "text rows"))
    assert leaky.accuracy > 0.95
    assert fair.accuracy < 0.04
    assert fair.protocol.endswith("; no row is compared with texts of its own group")


def test_leaving_out_the_own_group_is_as_if_its_texts_were_not_there(
    rng: np.random.Generator,
) -> None:
    texts = Labelled(
        unit(rng.normal(size=(40, 8))), rng.choice(["a", "b", "c"], 40), rng.integers(0, 9, 40)
    )
    test = Labelled(unit(rng.normal(size=(30, 8))), np.full(30, "a"), rng.integers(0, 12, 30))
    classes = np.array(["a", "b", "c"])
    scores = zero_shot_scores(
        ClassVectors(texts.labels, texts.vectors, texts.groups), test, classes
    )
    for row, group in enumerate(test.groups):
        others = texts.select(texts.groups != group)
        alone = test.select(np.array([row]))
        expected = zero_shot_scores(ClassVectors(others.labels, others.vectors), alone, classes)
        assert np.allclose(scores[row], expected[0])


def test_a_class_known_by_the_own_text_alone_is_not_guessed() -> None:
    given = ClassVectors(
        np.array(["a", "b", "b"]), np.eye(3), np.array(["own", "p", "q"]), "text rows"
    )
    test = Labelled(np.eye(3)[:1], np.array(["a"]), np.array(["own"]))
    scores = zero_shot_scores(given, test, np.array(["a", "b"]))
    assert scores[0, 0] == -np.inf
    assert zero_shot(test, given).accuracy == 0


def test_classes_without_texts_are_wrong_and_said(rng: np.random.Generator) -> None:
    names = np.array(["a", "b", "c"])
    test = rows(np.repeat(np.eye(3), 5, axis=0), np.repeat(names, 5))
    result = zero_shot(test, ClassVectors(names[:2], np.eye(3)[:2]))
    assert result.accuracy == pytest.approx(2 / 3)
    assert "1 of their classes have none, so their rows are wrong" in result.protocol


def test_texts_that_all_say_the_same_are_at_exact_chance(rng: np.random.Generator) -> None:
    names = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])
    one = np.repeat(unit(rng.normal(size=(1, 6))), 8, axis=0).astype(np.float32)
    test = rows(unit(rng.normal(size=(30, 6))), np.repeat(["a", "b", "c"], 10))
    result = zero_shot(test, ClassVectors(names, one))
    assert result.accuracy == pytest.approx(1 / 8)
    assert result.balanced_accuracy == pytest.approx(1 / 8)
    assert result.top5 == pytest.approx(5 / 8)


def test_one_class_alone_is_nothing_to_tell_apart() -> None:
    test = rows(np.eye(3), np.array(["a", "b", "c"]))
    assert classify(None, test, ClassVectors(np.array(["a"]), np.eye(3)[:1])) == []


def test_vectors_of_another_dimension_are_refused() -> None:
    test = rows(np.eye(3), np.array(["a", "b", "a"]))
    with pytest.raises(ConfigError, match="class vectors have 2 dimensions, the rows 3; embed the"):
        classify(None, test, ClassVectors(np.array(["a", "b"]), np.eye(2)))


def test_prototypes_are_the_nearest_class_means(rng: np.random.Generator) -> None:
    train = rows(unit(rng.normal(size=(60, 5))), rng.integers(0, 4, 60))
    test = rows(unit(rng.normal(size=(20, 5))), rng.integers(0, 4, 20))
    classes = np.array(["0", "1", "2", "3", "unseen"])
    means = unit(np.stack([train.vectors[train.labels == c].mean(0) for c in classes[:4]]))
    scores = prototype_scores(train, test, classes)
    assert np.allclose(scores[:, :4], test.vectors @ means.T)
    assert (scores[:, 4] == -np.inf).all()
