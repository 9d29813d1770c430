"""Classification from vectors: nearest neighbours and a linear probe.

Pure functions over arrays. Where there is no training part, predictions come from folds that
never cut a group.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import StratifiedGroupKFold

NEIGHBOURS = 10
FOLDS = 5
STRENGTHS = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Classification:
    """What a classifier said of the test items of one modality.

    Attributes:
        method: ``k-NN`` or ``linear probe``.
        protocol: what it was trained on.
        accuracy: share of right answers.
        macro_f1: F1 averaged over the classes.
        labels: the classes, in the order of the confusion matrix.
        confusion: counts ``(true, predicted)``.
    """

    method: str
    protocol: str
    accuracy: float
    macro_f1: float
    labels: list[str]
    confusion: np.ndarray


def classify(
    train: tuple[np.ndarray, np.ndarray] | None,
    test: tuple[np.ndarray, np.ndarray],
    groups: np.ndarray,
) -> list[Classification]:
    """Return k-NN and linear probe of one modality; empty where there is nothing to learn.

    Args:
        train: unit vectors ``(rows, dim)`` and labels ``(rows,)``; None to fold the test part.
        test: likewise.
        groups: of the test rows ``(rows,)``; folds never cut one.
    """
    vectors, labels = test
    results = []
    for method, predict in (("k-NN", nearest_neighbours), ("linear probe", linear_probe)):
        if train is not None and len(set(train[1])) > 1:
            predicted = predict(*train, vectors)
            protocol = f"{len(train[1])} training rows → {len(labels)} test rows"
        else:
            folds = _folds(labels, groups)
            if folds < 2:
                return []
            predicted = np.empty(len(labels), dtype=object)
            for inside, outside in _parts(labels, groups, folds):
                if len(set(labels[inside])) < 2:
                    return []
                predicted[outside] = predict(vectors[inside], labels[inside], vectors[outside])
            protocol = f"{folds} folds of {len(labels)} rows, stratified, groups never cut"
        classes = sorted({*labels, *predicted})
        results.append(
            Classification(
                method,
                protocol,
                float(accuracy_score(labels, predicted)),
                float(f1_score(labels, predicted, average="macro", zero_division=0)),
                [str(c) for c in classes],
                confusion_matrix(labels, predicted, labels=classes),
            )
        )
    return results


def _folds(labels: np.ndarray, groups: np.ndarray) -> int:
    """Return how many folds the rows allow; less than 2 means none."""
    counts = np.unique(labels, return_counts=True)[1]
    return min(FOLDS, len(set(groups)), int(counts.max())) if len(counts) > 1 else 0


def _parts(
    labels: np.ndarray, groups: np.ndarray, folds: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return indices inside and outside of each fold; every row is outside of one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        parts = StratifiedGroupKFold(folds).split(labels, labels, groups)
        return [(inside, outside) for inside, outside in parts if len(outside)]


def nearest_neighbours(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, neighbours: int = NEIGHBOURS
) -> np.ndarray:
    """Return the label ``(rows,)`` with the most similarity among the nearest training rows."""
    classes, codes = np.unique(labels, return_inverse=True)
    count = min(neighbours, len(train))
    predicted = np.empty(len(test), int)
    for start in range(0, len(test), 1024):
        scores = test[start : start + 1024] @ train.T
        nearest = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        weights = np.exp(np.take_along_axis(scores, nearest, 1) / 0.07)
        votes = np.zeros((len(scores), len(classes)))
        np.add.at(votes, (np.arange(len(scores))[:, None], codes[nearest]), weights)
        predicted[start : start + 1024] = votes.argmax(1)
    return classes[predicted]


def linear_probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the labels ``(rows,)`` that logistic regression predicts.

    The inverse L2 strength is the best of :data:`STRENGTHS` on a fifth of the training rows.
    """

    def fitted(c: float, rows: np.ndarray, targets: np.ndarray) -> LogisticRegression:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(C=c, max_iter=300).fit(rows, targets)

    held = np.random.default_rng(0).random(len(labels)) < 0.2
    best = STRENGTHS[1]
    if held.any() and len(set(labels[~held])) > 1:
        scores = [
            fitted(c, train[~held], labels[~held]).score(train[held], labels[held])
            for c in STRENGTHS
        ]
        best = STRENGTHS[int(np.argmax(scores))]
    return fitted(best, train, labels).predict(test)
