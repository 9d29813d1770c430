"""Ranks in a sorted list of scores, where those that are equal up to rounding share a rank."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOAT64_TIE = 1e-12  # scores nearer than this tie: float64 sums of unit vectors differ by less


def tied_ranks(ordered: np.ndarray, scores: Any, better: int = 0) -> tuple[Any, Any]:
    """Return the number of better scores, and of scores in the tie, of each of ``scores``.

    Scores are tied with their neighbours up to :data:`FLOAT64_TIE`, so a tie is a chain of them.

    Args:
        ordered: all scores, ascending ``(items,)``.
        scores: those whose ranks are wanted ``(wanted,)``, or one of them; each is in ``ordered``.
        better: number of further scores that are better than all of these.
    """
    edges = np.flatnonzero(np.diff(ordered) > FLOAT64_TIE) + 1
    bounds = np.concatenate([[0], edges, [len(ordered)]])
    place = np.minimum(np.searchsorted(ordered, scores), len(ordered) - 1)
    tie = np.searchsorted(edges, place, side="right")
    low, high = bounds[tie], bounds[tie + 1]
    return better + len(ordered) - high, high - low
