"""Classification by the nearest class vector: of texts (zero-shot), or of training rows.

Pure functions over arrays. A class vector is the mean of the unit vectors of its prompts, scaled to
unit length (Radford et al. 2021, arXiv 2103.00020, §3.1.4); with training rows in the place of
prompts it is a prototype (Snell et al. 2017, arXiv 1703.05175, with the cosine).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmembed.errors import ConfigError
from mmembed.evaluation.classification.labelled import Labelled
from mmembed.evaluation.vectors import members, unit


@dataclass(frozen=True)
class ClassVectors:
    """Vectors that stand for classes: one or more prompts, texts or rows of each class.

    Attributes:
        labels: the class of each ``(texts,)``.
        vectors: unit vectors ``(texts, dim)``, in the space of what is to be classified.
        groups: of each text, if it is of the dataset ``(texts,)``: a row is classified without the
            texts of its own group, else a caption would give away its own picture. None where the
            texts belong to no row, as prompts do.
        source: what they are, for the protocol: ``prompts``, ``text rows``.
    """

    labels: np.ndarray
    vectors: np.ndarray
    groups: np.ndarray | None = None
    source: str = "prompts"

    @property
    def classes(self) -> np.ndarray:
        """The classes ``(classes,)`` that have a vector, sorted."""
        return np.unique(self.labels)


def zero_shot_scores(given: ClassVectors, test: Labelled, classes: np.ndarray) -> np.ndarray:
    """Return the cosine ``(rows, classes)`` of each test row with the vector of each class.

    It is minus infinity for a class without a text of another group than the row's; where that
    leaves a row no class at all, all its classes tie. The labels of the test rows are not read.

    Args:
        given: what stands for the classes.
        test: the rows to classify.
        classes: sorted; every class of ``given`` is among them.

    Raises:
        ConfigError: the class vectors have another dimension than the rows.
    """
    if given.vectors.shape[1] != test.vectors.shape[1]:
        raise ConfigError(
            f"zero-shot: the class vectors have {given.vectors.shape[1]} dimensions, the rows "
            f"{test.vectors.shape[1]}; embed the {given.source} with the space of the dataset"
        )
    codes = np.searchsorted(classes, given.labels)
    sums, counts = _sums(given.vectors, codes, len(classes))
    rows = test.vectors.astype(np.float64)
    scores = rows @ unit(sums).T
    scores[:, counts == 0] = -np.inf
    if given.groups is not None:
        texts = Labelled(given.vectors, codes, given.groups)
        _leave_own_group_out(scores, texts, (sums, counts), test)
    scores[~np.isfinite(scores).any(1)] = 0.0
    return scores


def _leave_own_group_out(
    scores: np.ndarray,
    given: Labelled,
    totals: tuple[np.ndarray, np.ndarray],
    test: Labelled,
) -> None:
    """Score each row again, in place, for the classes that have texts of the row's own group.

    The labels of ``given`` are codes of classes; ``totals`` are the sums and counts of its vectors.
    """
    sums, counts = totals
    names, group = np.unique(np.append(given.groups, test.groups), return_inverse=True)
    texts, rows = group[: len(given)], group[len(given) :]
    pairs, which = np.unique(texts * len(sums) + given.labels, return_inverse=True)
    own, own_counts = _sums(given.vectors, which, len(pairs))
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(len(names) + 1))
    for pair, mine, mine_count in zip(pairs, own, own_counts, strict=True):
        of, label = divmod(int(pair), len(sums))
        chosen = order[bounds[of] : bounds[of + 1]]
        if mine_count == counts[label]:
            scores[chosen, label] = -np.inf
        elif len(chosen):
            others = unit((sums[label] - mine)[None])[0]
            scores[chosen, label] = test.vectors[chosen].astype(np.float64) @ others


def prototype_scores(train: Labelled, test: Labelled, classes: np.ndarray) -> np.ndarray:
    """Return the cosine ``(rows, classes)`` of each test row with the mean of each class's rows.

    It is minus infinity for a class without a training row.

    Args:
        train: rows whose means are taken.
        test: the rows to classify; their labels are not read.
        classes: sorted; every class of ``train`` is among them.
    """
    return zero_shot_scores(ClassVectors(train.labels, train.vectors), test, classes)


def _sums(vectors: np.ndarray, codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the vectors of each code, float64 ``(count, dim)``, and how many."""
    sums = members(codes, count) @ vectors.astype(np.float64)
    return np.asarray(sums), np.bincount(codes, minlength=count)
