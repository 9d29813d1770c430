"""Classification from vectors: nearest neighbours, prototypes, a linear probe, and zero-shot.

Pure functions over arrays. Where there is no training part, predictions come from folds that
never cut a group; zero-shot needs no training at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmembed.evaluation.classification.labelled import Labelled, group_folds
from mmembed.evaluation.classification.probe import INNER_FOLDS, STRENGTHS, linear_probe
from mmembed.evaluation.classification.scores import Outcome, confusion, intervals, metrics, outcome
from mmembed.evaluation.classification.zero_shot import (
    ClassVectors,
    prototype_scores,
    zero_shot_scores,
)
from mmembed.evaluation.statistics import Interval
from mmembed.neighbors.tied_lists import tied_lists

NEIGHBOURS = 10
TEMPERATURE = 0.07
FOLDS = 5
MOST_ROWS = 50_000  # of the training part and of the test part; more are sampled
MOST_SCORES = 1 << 25  # rows x classes
SETTINGS = {
    "k-NN": f"{NEIGHBOURS} neighbours, votes weighted by exp(cosine / {TEMPERATURE})",
    "prototypes": "cosine with the mean vector of each class",
    "linear probe": f"logistic regression, C of {', '.join(f'{c:g}' for c in STRENGTHS)} chosen by "
    f"{INNER_FOLDS} folds of the training rows that never cut a group",
    "zero-shot": "cosine with the mean text vector of each class",
}


@dataclass(frozen=True)
class Classification:
    """The classes that a classifier gave to the test items of one modality, and its scores.

    Where classes tie for a row, it is given to each in part, so counts need not be whole.

    Attributes:
        method: ``k-NN``, ``prototypes``, ``linear probe`` or ``zero-shot``.
        protocol: what it was trained on and tested on, and what was sampled.
        setting: how the classifier works, in words.
        accuracy: share of right answers.
        balanced_accuracy: accuracy within each class, averaged over the classes.
        macro_f1: F1 averaged over the classes that are true or predicted of any row.
        top5: share of rows whose class is among the five best; NaN unless there are more than five
            classes.
        majority: share of the most frequent class: the accuracy of always naming that.
        intervals: by metric (``accuracy``, ``balanced accuracy``, ``macro F1``, ``top-5
            accuracy``), the 95 % interval.
        labels: the classes that are true or predicted of any row, in the order of the matrix.
        confusion: counts ``(true, predicted)``, float64.
        rows: indices of the test rows that were classified ``(rows,)``, ascending.
        predicted: the class that each was given, the first by name of those that tie ``(rows,)``.
        hits: how much of each was given its true class, 0 to 1 ``(rows,)``.
    """

    method: str
    protocol: str
    setting: str
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    top5: float
    majority: float
    intervals: dict[str, Interval]
    labels: list[str]
    confusion: np.ndarray
    rows: np.ndarray
    predicted: np.ndarray
    hits: np.ndarray


@dataclass(frozen=True)
class _Scored:
    """The scores of one method: ``(rows, classes)``, and what is to be said of them."""

    method: str
    protocol: str
    scores: np.ndarray
    setting: str


def classify(
    train: Labelled | None, test: Labelled, zero_shot: ClassVectors | None = None
) -> list[Classification]:
    """Return k-NN, prototypes, linear probe and zero-shot of one modality, as far as possible.

    The first three learn from ``train``; where it is None or has one class only, from folds of the
    test part that never cut a group, and they are left out where there are no such folds. The last
    needs vectors of at least two classes. All are tested on the same rows, of which those whose
    class a method can't know are wrong. The order of rows changes nothing.

    Args:
        train: the rows to learn from.
        test: the rows to classify.
        zero_shot: texts of the classes.

    Raises:
        ConfigError: the class vectors have another dimension than the rows.
    """
    learnt = train if train is not None and len(np.unique(train.labels)) > 1 else None
    if zero_shot is not None and len(zero_shot.classes) < 2:
        zero_shot = None
    known = [part.labels for part in (test, learnt, zero_shot) if part is not None]
    classes = np.unique(np.concatenate([labels.astype(str) for labels in known]))
    rows = test.arranged(min(MOST_ROWS, max(1, MOST_SCORES // max(1, len(classes)))))
    if not len(rows):
        return []
    tested = test.select(rows)
    sampled = f", sampled evenly by class from {len(test):,}" if len(rows) < len(test) else ""
    if learnt is None:
        scored = _by_folds(tested, classes, sampled)
    else:
        scored = _by_split(learnt, tested, classes, sampled)
    if zero_shot is not None:
        protocol = (
            f"{len(zero_shot.classes)} classes by {len(zero_shot.labels)} {zero_shot.source} → "
            f"{len(rows)} test rows{sampled}"
        )
        missing = np.setdiff1d(tested.labels, zero_shot.classes)
        if len(missing):
            protocol += f"; {len(missing)} of their classes have none, so their rows are wrong"
        if zero_shot.groups is not None:
            protocol += "; no row is compared with texts of its own group"
        scores = zero_shot_scores(zero_shot, tested, classes)
        scored.append(_Scored("zero-shot", protocol, scores, SETTINGS["zero-shot"]))
    return _classified(scored, tested, classes, rows)


def _by_split(train: Labelled, test: Labelled, classes: np.ndarray, sampled: str) -> list[_Scored]:
    """Score the test rows by what each method learns from the training rows."""
    part = train.select(train.arranged(MOST_ROWS))
    protocol = f"{len(part)} training rows → {len(test)} test rows{sampled}"
    if len(part) < len(train):
        protocol += f"; training rows sampled evenly by class from {len(train):,}"
    scored = []
    for method, learn in METHODS.items():
        scores, used, note = learn(part, test, classes)
        fewer = f"; learnt from {used} of them" if used < len(part) else ""
        scored.append(_Scored(method, protocol + fewer, scores, _setting(method, {note})))
    return scored


def _by_folds(test: Labelled, classes: np.ndarray, sampled: str) -> list[_Scored]:
    """Score each fold of the test rows by what each method learns from the others."""
    parts = group_folds(test.labels, test.groups, FOLDS)
    if not parts or any(len(np.unique(test.labels[inside])) < 2 for inside, _ in parts):
        return []
    protocol = f"{len(parts)} folds of {len(test)} rows, stratified, groups never cut{sampled}"
    scored = []
    for method, learn in METHODS.items():
        scores = np.empty((len(test), len(classes)))
        notes, fewest = set(), ""
        for inside, outside in parts:
            train = test.select(inside)
            scores[outside], used, note = learn(train, test.select(outside), classes)
            notes.add(note)
            if used < len(train):
                fewest = f"; learnt from {used} rows a fold"
        scored.append(_Scored(method, protocol + fewest, scores, _setting(method, notes)))
    return scored


def _setting(method: str, notes: set[str]) -> str:
    """Return the setting of a method, and in brackets what it came to."""
    said = ", ".join(sorted(filter(None, notes)))
    return SETTINGS[method] + (f" ({said})" if said else "")


def _classified(
    scored: list[_Scored], test: Labelled, classes: np.ndarray, rows: np.ndarray
) -> list[Classification]:
    """Turn scores of arranged rows into metrics with intervals, and rows as they came."""
    if not scored:
        return []
    truth = np.searchsorted(classes, test.labels)
    outcomes = [outcome(each.scores, truth) for each in scored]
    bounds = intervals(outcomes, truth, test.groups)
    order = np.argsort(rows)
    majority = float(np.bincount(truth).max() / len(truth))
    results = []
    for each, result, sure in zip(scored, outcomes, bounds, strict=True):
        used, counts = _used_confusion(result, truth)
        values = metrics(counts, float(result.top.mean()))
        results.append(
            Classification(
                each.method,
                each.protocol,
                each.setting,
                values["accuracy"],
                values["balanced accuracy"],
                values["macro F1"],
                values["top-5 accuracy"],
                majority,
                sure,
                [str(c) for c in classes[used]],
                counts,
                rows[order],
                classes[result.predicted][order],
                result.hits(truth)[order],
            )
        )
    return results


def _used_confusion(result: Outcome, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes that are true or predicted of any row, and their confusion matrix."""
    counts = confusion(result, truth)
    used = np.union1d(truth, counts.indices)
    return used, np.asarray(counts[used][:, used].todense())


def most_confused(result: Classification, count: int = 10) -> list[tuple[str, str, float]]:
    """Return the ``(true, predicted, rows)`` of the most frequent errors, most frequent first.

    Equals come in the order of the labels. It reads well where a matrix of many classes does not.
    """
    wrong = result.confusion.copy()
    np.fill_diagonal(wrong, 0)
    true, said = np.nonzero(wrong)
    best = np.argsort(-wrong[true, said], kind="stable")[:count]
    names = result.labels
    return [
        (names[t], names[s], float(wrong[t, s]))
        for t, s in zip(true[best], said[best], strict=True)
    ]


def neighbour_votes(train: Labelled, test: Labelled, classes: np.ndarray) -> np.ndarray:
    """Return the votes ``(rows, classes)`` of the nearest training rows for each test row.

    A vote weighs exp(cosine / 0.07), as in Wu et al. (2018, arXiv 1805.01978), relative to the
    nearest row's. Training rows that tie for the last places share them. Labels of the test rows
    are not read.
    """
    codes = np.searchsorted(classes, train.labels)
    votes = np.zeros((len(test), len(classes)))
    for lists in tied_lists(test.vectors, train.vectors, NEIGHBOURS):
        best = np.full(lists.queries, -np.inf)
        np.maximum.at(best, lists.row, lists.score)
        weights = lists.share * np.exp((lists.score - best[lists.row]) / TEMPERATURE)
        cells = lists.row * len(classes) + codes[lists.column]
        counted = np.bincount(cells, weights, lists.queries * len(classes))
        stop = lists.start + lists.queries
        votes[lists.start : stop] = counted.reshape(lists.queries, len(classes))
    votes[:, np.setdiff1d(np.arange(len(classes)), codes)] = -np.inf
    return votes


Learnt = tuple[np.ndarray, int, str]  # scores, the number of training rows read, a note


def _neighbours(train: Labelled, test: Labelled, classes: np.ndarray) -> Learnt:
    return neighbour_votes(train, test, classes), len(train), ""


def _prototypes(train: Labelled, test: Labelled, classes: np.ndarray) -> Learnt:
    return prototype_scores(train, test, classes), len(train), ""


def _probe(train: Labelled, test: Labelled, classes: np.ndarray) -> Learnt:
    probe = linear_probe(train)
    early = "" if probe.converged else " stopped before it converged"
    return probe.scores(test.vectors, classes), probe.rows, f"C = {probe.strength:g}{early}"


METHODS: dict[str, Callable[[Labelled, Labelled, np.ndarray], Learnt]] = {
    "k-NN": _neighbours,
    "prototypes": _prototypes,
    "linear probe": _probe,
}
