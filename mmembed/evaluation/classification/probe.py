"""A linear probe: logistic regression on frozen vectors, its strength chosen within the training.

Pure functions over arrays. The probe sees training rows alone, and when it tries a strength on
some of them, nothing of their groups is among those it then learns from.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from mmembed.evaluation.classification.labelled import Labelled, group_folds

STRENGTHS = (1.0, 10.0, 100.0)  # inverse L2 strengths, scikit-learn's C, ascending
INNER_FOLDS = 3
INNER_ROWS = 2000
WORSE = 0.02
WORK = 1 << 28  # rows x dim x classes of a fit that may take all iterations: 5,000 x 512 x 100
LEAST_ROWS = 5000
ITERATIONS = (30, 300)


@dataclass(frozen=True)
class Probe:
    """A fitted probe.

    Attributes:
        classes: what it tells apart, sorted ``(classes,)``.
        weights: of each class ``(classes, dim)``.
        offsets: of each class ``(classes,)``.
        strength: the inverse L2 strength it was fitted with.
        rows: number of rows it was fitted on.
        converged: whether the fit came to its end within the iterations allowed.
    """

    classes: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    strength: float
    rows: int
    converged: bool

    def scores(self, vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return the log-odds ``(rows, classes)`` of vectors ``(rows, dim)``.

        They are minus infinity for those of the sorted ``classes`` that the probe never saw.
        """
        scores = np.full((len(vectors), len(classes)), -np.inf)
        logits = vectors.astype(np.float64) @ self.weights.T + self.offsets
        scores[:, np.searchsorted(classes, self.classes)] = logits
        return scores

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return the class ``(rows,)`` of vectors ``(rows, dim)``."""
        return self.classes[self.scores(vectors, self.classes).argmax(1)]


def linear_probe(train: Labelled) -> Probe:
    """Return the logistic regression of at least two classes, learnt from the training rows.

    Vectors are centred and brought to a mean squared length of 1 by the training rows, so that a
    strength means the same for a space that fills a narrow cone. The inverse L2 strength is the
    one of :data:`STRENGTHS` that is right most often on :data:`INNER_FOLDS` folds of at most
    :data:`INNER_ROWS` rows, which cut no group; the smallest of equals; the middle one where
    there are no such folds. More than about 5,000 rows x 512 dimensions x 100 classes are cut down:
    to fewer rows, evenly by class, and with very many classes to fewer iterations.
    """
    classes = np.unique(train.labels)
    work = max(1, train.vectors.shape[1] * len(classes))
    part = train.select(train.arranged(max(LEAST_ROWS, WORK // work)))
    centre = part.vectors.mean(0, dtype=np.float64)
    rows = part.vectors - centre
    length = float(np.sqrt((rows**2).sum(1).mean()))
    scale = 1 / length if length > 1e-6 else 1.0
    few, most = ITERATIONS
    allowed = int(np.clip(most * WORK / (work * len(part)), few, most))
    scaled = Labelled(rows * scale, part.labels, part.groups)
    strength = choose_strength(scaled, allowed)
    fitted = _fit(scaled, strength, allowed)
    weights, offsets = fitted.coef_ * scale, fitted.intercept_
    if len(weights) == 1 and len(fitted.classes_) == 2:
        weights, offsets = np.concatenate([-weights, weights]), np.append(-offsets, offsets)
    converged = int(np.max(fitted.n_iter_)) < allowed
    return Probe(
        fitted.classes_, weights, offsets - weights @ centre, strength, len(part), converged
    )


def choose_strength(train: Labelled, iterations: int = ITERATIONS[1]) -> float:
    """Return the inverse L2 strength that predicts held-out groups of the training rows best.

    Strengths are tried from the smallest on, until all rows are right, or the share that is right
    falls by more than :data:`WORSE` below the best so far.
    """
    few = train.select(train.arranged(INNER_ROWS))
    few = Labelled(few.vectors.astype(np.float32), few.labels, few.groups)
    parts = [
        (few.select(inside), few.select(outside))
        for inside, outside in group_folds(few.labels, few.groups, INNER_FOLDS)
        if len(np.unique(few.labels[inside])) > 1
    ]
    rows = sum(len(held) for _, held in parts)
    right: list[int] = []
    for strength in STRENGTHS if parts else ():
        right.append(0)
        for learnt, held in parts:
            logits = _fit(learnt, strength, iterations).decision_function(held.vectors)
            said = logits.argmax(1) if logits.ndim > 1 else (logits > 0).astype(int)
            right[-1] += int((np.unique(learnt.labels)[said] == held.labels).sum())
        if right[-1] == rows or right[-1] < max(right) - WORSE * rows:
            break
    return STRENGTHS[int(np.argmax(right))] if any(right) else STRENGTHS[len(STRENGTHS) // 2]


def _fit(train: Labelled, strength: float, iterations: int) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes")
        return LogisticRegression(C=strength, max_iter=iterations).fit(train.vectors, train.labels)
