"""Metrics of a classification from the scores of the classes, fair to ties, with intervals.

Pure functions over arrays. Where classes tie for the best score, a row is counted as each of them
in part, so that every number is what a fair choice among them gives on average: an encoder that
gives all rows the same vector does not score above chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from mmembed.evaluation.statistics import Interval, bounded_interval, resampled
from mmembed.evaluation.vectors import members
from mmembed.neighbors.tied_lists import FLOAT32_TIE

TOP = 5
METRICS = {
    "accuracy": "share of rows whose class has the best score",
    "balanced accuracy": "accuracy within each class, averaged over the classes of the test rows",
    "macro F1": "F1 averaged over the classes that are true or predicted of any row",
    "top-5 accuracy": "share of rows whose class is among the 5 best, of more than 5 classes",
}


@dataclass(frozen=True)
class Outcome:
    """The classes that scores give to each row.

    Attributes:
        predicted: code of the class of the best score, the first of those that tie ``(rows,)``.
        shares: sparse ``(rows, classes)``: how much of a row each class is given; a row sums to 1.
        top: chance that the true class is among the :data:`TOP` best ``(rows,)``; NaN where there
            are no more classes than that.
    """

    predicted: np.ndarray
    shares: csr_matrix
    top: np.ndarray

    def hits(self, truth: np.ndarray) -> np.ndarray:
        """Return how much of each row is given its true class ``(rows,)``."""
        return np.asarray(self.shares[np.arange(len(truth)), truth]).reshape(-1)


def outcome(scores: np.ndarray, truth: np.ndarray) -> Outcome:
    """Return the outcome of scores ``(rows, classes)`` and true codes ``(rows,)``.

    Scores within ``FLOAT32_TIE`` of each other tie. Minus infinity is a class that can't be
    predicted; every row has at least one that can.
    """
    row, column = np.nonzero(scores >= scores.max(1, keepdims=True) - FLOAT32_TIE)
    tied = np.bincount(row, minlength=len(scores))
    shares = csr_matrix((1 / tied[row], (row, column)), shape=scores.shape)
    predicted = column[np.append(0, tied.cumsum()[:-1])] if len(scores) else np.empty(0, int)
    if int(np.isfinite(scores).any(0).sum()) <= TOP:
        return Outcome(predicted, shares, np.full(len(scores), np.nan))
    own = scores[np.arange(len(scores)), truth][:, None]
    better = (scores > own + FLOAT32_TIE).sum(1)
    equal = ((scores >= own - FLOAT32_TIE) & (scores <= own + FLOAT32_TIE)).sum(1)
    top = np.clip((TOP - better) / np.maximum(equal, 1), 0, 1)
    return Outcome(predicted, shares, np.where(np.isfinite(own[:, 0]), top, 0.0))


def confusion(result: Outcome, truth: np.ndarray) -> csr_matrix:
    """Return counts ``(true, predicted)`` over all classes, sparse; whole where nothing ties."""
    return (members(truth, result.shares.shape[1]) @ result.shares).tocsr()


def metrics(counts: np.ndarray, top: float) -> dict[str, float]:
    """Return each metric of a confusion matrix ``(true, predicted)`` and a top-5 accuracy."""
    right, support, named = np.diag(counts), counts.sum(1), counts.sum(0)
    values = _metrics(right[None], support[None], named[None], np.array([top]))
    return {name: float(value[0]) for name, value in values.items()}


def intervals(
    results: list[Outcome], truth: np.ndarray, groups: np.ndarray
) -> list[dict[str, Interval]]:
    """Return the 95 % interval of each metric of each result, all from the same resamples.

    A bootstrap over rows; the rows of a group are drawn together. Where every row is right, or
    every row wrong, resampling can't tell how sure that is: then the bound is that of Clopper and
    Pearson (1934), for as many groups (accuracy, top-5), or for the groups of the rarest class
    times the number of classes (balanced accuracy and macro F1, where each class counts alike). A
    class that is in no row of a resample is left out of its means.

    Args:
        results: outcomes over the same rows and classes.
        truth: true codes ``(rows,)``.
        groups: of the rows ``(rows,)``.
    """
    classes = results[0].shares.shape[1] if results else 0
    clusters = np.unique(groups, return_inverse=True)[1]
    count = len(np.unique(clusters))
    rows_of = members(truth, classes)
    named = [result.shares.T.tocsr() for result in results]
    right = [rows_of.multiply(n).tocsr() for n in named]
    samples: list[dict[str, list[np.ndarray]]] = [{m: [] for m in METRICS} for _ in results]
    for weights in resampled(clusters):
        drawn = np.ascontiguousarray(weights.T)
        support = (rows_of @ drawn).T
        for i, result in enumerate(results):
            top = result.top @ drawn / drawn.sum(0)
            values = _metrics((right[i] @ drawn).T, support, (named[i] @ drawn).T, top)
            for name, value in values.items():
                samples[i][name].append(value)
    pairs = np.unique(np.stack([truth, clusters], 1), axis=0)[:, 0]
    each = np.bincount(pairs, minlength=1)
    rarest = int(each[each > 0].min(initial=count) * (each > 0).sum())
    bounds = []
    for result, sample in zip(results, samples, strict=True):
        hits = result.hits(truth)
        bounds.append(
            {
                name: bounded_interval(
                    np.concatenate(values or [np.empty(0)]),
                    result.top if name == "top-5 accuracy" else hits,
                    count,
                    min(count, rarest) if name in ("balanced accuracy", "macro F1") else count,
                )
                for name, values in sample.items()
            }
        )
    return bounds


def _metrics(
    right: np.ndarray, support: np.ndarray, named: np.ndarray, top: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each metric ``(draws,)`` of counts ``(draws, classes)``."""
    real, seen = support > 0, support + named > 0
    recall = np.divide(right, support, out=np.zeros_like(right), where=real)
    f1 = np.divide(2 * right, support + named, out=np.zeros_like(right), where=seen)
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": right.sum(1) / support.sum(1),
            "balanced accuracy": recall.sum(1) / real.sum(1),
            "macro F1": f1.sum(1) / seen.sum(1),
            "top-5 accuracy": top,
        }
