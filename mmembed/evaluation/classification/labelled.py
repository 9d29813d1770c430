"""Labelled rows to learn from or test on, sampled evenly by class, and folds that cut no group."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from mmembed.evaluation.space_geometry import even_sample


@dataclass(frozen=True)
class Labelled:
    """Vectors with a class each.

    Attributes:
        vectors: unit vectors ``(rows, dim)``.
        labels: text ``(rows,)``.
        groups: text ``(rows,)``; rows of one group are the same thing.
    """

    vectors: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: np.ndarray) -> Labelled:
        """Return some rows, by index or mask."""
        return Labelled(self.vectors[rows], self.labels[rows], self.groups[rows])

    def arranged(self, most: int) -> np.ndarray:
        """Return indices of at most ``most`` rows, evenly by class, in an order of their own.

        The order is by label, group and vector, whatever order the rows came in. Every class keeps
        a row, unless there are more classes than ``most``.
        """
        direction = np.random.default_rng(0).normal(size=self.vectors.shape[1])
        _, label, counts = np.unique(self.labels, return_inverse=True, return_counts=True)
        group = np.unique(self.groups, return_inverse=True)[1]
        order = np.lexsort((self.vectors @ direction, group, label))
        if len(order) <= most:
            return order
        if len(counts) >= most:
            return order[even_sample(len(order), most)]
        quotas = 1 + counts * (most - len(counts)) // len(order)
        starts = counts.cumsum() - counts
        parts = [s + even_sample(c, q) for s, c, q in zip(starts, counts, quotas, strict=True)]
        return order[np.concatenate(parts)]


def group_folds(
    labels: np.ndarray, groups: np.ndarray, most: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return indices inside and outside of each of at most ``most`` stratified folds.

    No group is both inside and outside of a fold; every row is outside of one. Empty where the
    rows allow no two folds: one class, one group, or no class of two rows.
    """
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2:
        return []
    folds = min(most, len(np.unique(groups)), int(counts.max()))
    if folds < 2:
        return []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        warnings.filterwarnings("ignore", "The number of unique classes")
        parts = StratifiedGroupKFold(folds).split(labels, labels, groups)
        return [(inside, outside) for inside, outside in parts if len(outside)]
