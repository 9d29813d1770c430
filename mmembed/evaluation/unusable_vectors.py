"""Vectors that can't be compared: missing, of another length, not finite, or zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmembed.evaluation.data_checks.data_fault import EXAMPLES, DataFault, FaultKind, counted
from mmembed.evaluation.items import Items
from mmembed.evaluation.unusable_rows import NOT_FINITE, ZERO, UnusableRows
from mmembed.neighbors.vector_rows import squared_lengths
from mmembed.store.vectors import MISSING, OTHER_LENGTH

SHORTEST_SQUARED = 0.25  # squared length below which an item's vector is no unit vector but zero
WORDS: tuple[tuple[int, FaultKind, str], ...] = (
    (MISSING, "missing", "missing vectors"),
    (OTHER_LENGTH, "length", "vectors of another length"),
    (NOT_FINITE, "nan", "NaN or infinite vectors"),
    (ZERO, "zero", "zero vectors"),
)


def usable(items: Items) -> np.ndarray:
    """Return whether each item ``(items,)`` has a finite vector of unit length."""
    squares = squared_lengths(items.vectors)
    return np.isfinite(squares) & (squares > SHORTEST_SQUARED)


def lint_vectors(
    items: Items, of: str = "", left_out_of: str = "the scores"
) -> Iterator[DataFault]:
    """Yield a fault for each kind of vector that can't be compared, with the names of its rows.

    Args:
        items: what is to be used.
        of: which items these are, if not what is scored.
        left_out_of: what the vectors are no part of.
    """
    rows = _with_items(items)
    for code, kind, words in WORDS:
        which = np.flatnonzero(rows.kind == code)
        if not len(which):
            continue
        alone = bool((rows.rows[which] == 1).all())
        item = np.unique(rows.item[which])
        said = in_words(items, len(item))
        if not alone:
            said = f"{counted(len(which), 'segment')} of {said}"
        message = f"{said}{of} with {words}, left out of {left_out_of}"
        partly = len(np.unique(rows.item[which[rows.usable[which] > 0]]))
        if partly:
            have = f"{in_words(items, partly)} {'has' if partly == 1 else 'have'}"
            message += f" ({have} other segments, which count)"
        message += f": embed {'it' if len(item) == 1 else 'them'} again"
        names = tuple(_name(items, rows, row) for row in which[:EXAMPLES])
        yield DataFault(kind, len(which), message, names)


def in_words(items: Items, count: int, field: str = "") -> str:
    """Return ``1 image file`` or ``2 moments``."""
    return counted(count, f"{field} {items.unit}".strip())


def _with_items(items: Items) -> UnusableRows:
    """Return the unusable rows, and a row for each item that is unusable for no row's sake."""
    rows = items.unusable
    lone = ~usable(items)
    lone[rows.item[rows.usable == 0]] = False
    which = np.flatnonzero(lone)
    finite = np.isfinite(squared_lengths(items.vectors[which]))
    one = np.ones(len(which), int)
    own = (which, np.where(finite, ZERO, NOT_FINITE), -one, one, 0 * one)
    fields = (rows.item, rows.kind, rows.segment, rows.rows, rows.usable)
    joined = [np.concatenate(pair).astype(int) for pair in zip(fields, own, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    return UnusableRows(*(each[order] for each in joined))


def _name(items: Items, rows: UnusableRows, row: int) -> str:
    item = rows.item[row]
    name = str(items.select(item[None]).names()[0])
    whole = rows.rows[row] == 1 or rows.segment[row] < 0
    return name if whole else f"{name} segment {rows.segment[row]}"
