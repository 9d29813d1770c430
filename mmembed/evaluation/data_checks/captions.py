"""The words of texts: texts without a word, and texts of the same words."""

from __future__ import annotations

import unicodedata

import numpy as np

from mmembed.evaluation.items import Items
from mmembed.store.labels import PLACEHOLDERS, fold

NO_TEXTS = PLACEHOLDERS - {"null", "NULL"}  # which is German for zero


def captions_of(items: Items, field: str) -> np.ndarray | None:
    """Return the folded text ``(items,)`` of the items of a field; empty where there is none.

    None if no item of it has a text: then the texts are not in the dataset, and nothing is known.
    """
    rows = np.flatnonzero(items.field == field)
    if all(items.text[row] is None for row in rows):
        return None
    captions = np.full(len(items), "", dtype=object)
    for row in rows:
        text = items.text[row]
        captions[row] = "" if text is None or text.strip() in NO_TEXTS else fold(text)
    return captions


def has_word(text: str) -> bool:
    """Return whether a text has a letter, digit or pictogram: something that can be asked for."""
    return any(kind[0] in "LN" or kind == "So" for kind in map(unicodedata.category, text))


def worded(captions: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return whether each row ``(rows,)`` has a word."""
    return np.array([has_word(captions[row]) for row in rows], bool)


def first_of_each(captions: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return for each row ``(rows,)`` the first row of the same text."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(captions[row], row) for row in rows], int)
