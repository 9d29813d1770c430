"""Abstention: whether the best score of a query tells how well the query does."""

from __future__ import annotations

import numpy as np

from mmembed.neighbors.tied_ranks import FLOAT64_TIE


def abstention(precision: np.ndarray, sure: np.ndarray, tie: float = FLOAT64_TIE) -> float:
    """Return the normalised area under the abstention curve, 1 at best and 0 by chance.

    Gisserot-Boukhlef et al. 2024 (arXiv 2402.12997), with every share of abstentions in place of
    ten. Queries that are equally sure (within ``tie``) are taken in all orders. NaN where all
    queries do equally well, so that there is nothing to tell.

    Args:
        precision: the average precision of each query ``(queries,)``.
        sure: how sure the ranking is of each ``(queries,)``.
        tie: difference of ``sure`` up to which neighbours are equal.
    """
    if len(precision) < 2 or np.ptp(precision) < 1e-12:
        return float("nan")
    order = np.argsort(-sure, kind="stable")
    ordered, confident = precision[order], sure[order]
    group = np.append(0, (confident[:-1] - confident[1:] > tie).cumsum())
    fair = (np.bincount(group, ordered) / np.bincount(group))[group]
    kept = np.arange(1, len(precision) + 1)
    area = (fair.cumsum() / kept).mean()
    best = (np.sort(precision)[::-1].cumsum() / kept).mean()
    return float((area - precision.mean()) / (best - precision.mean()))
