"""Words of the page on an item: what it says, which part of its file it is, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmembed.evaluation.items import Items
from mmembed.modality import Display, kinds

LONGEST_WORDS = 240
LONGEST_TITLE = 2000


def display_of(items: Items, index: int) -> Display:
    """Return how an item is shown; by its path if its modality is not known here."""
    kind = kinds().get(items.kind[index])
    return "path" if kind is None else kind.display


def span_text(items: Items, index: int) -> str:
    """Return ``12.0–16.0 s`` or ``characters 120–480`` of a moment, nothing of a whole item."""
    start, end = items.start_char[index], items.end_char[index]
    if not np.isnan([start, end]).any():
        return f"characters {start:.0f}–{end:.0f}"
    start, end = items.start[index], items.end[index]
    return "" if np.isnan([start, end]).any() else f"{start:.1f}–{end:.1f} s"


def item_words(items: Items, index: int, longest: int = LONGEST_WORDS) -> str:
    """Return the words of a text or of ids on one line, cut if they are long.

    Nothing of other items, and of those whose words are not in the dataset.
    """
    given = items.text[index] if display_of(items, index) == "words" else None
    if given is not None and items.kind[index] == "category":
        given = _category(given)
    text = " ".join((given or "").split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def item_title(items: Items, index: int) -> str:
    """Return the words of an item at greater length, if :func:`item_words` cuts them."""
    whole = item_words(items, index, LONGEST_TITLE)
    return whole if len(whole) > LONGEST_WORDS else ""


def describe(items: Items, index: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return all that the page says of items, by their index."""
    return {
        i: {
            "path": str(items.path[i]),
            "field": str(items.field[i]),
            "display": display_of(items, i),
            "label": items.label[i],
            "span": span_text(items, i),
            "words": item_words(items, i),
            "title": item_title(items, i),
        }
        for i in index
    }


def _category(content: str) -> str:
    """Return an id, tags, or tags with weights in words, from JSON or as they are."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if isinstance(value, dict):
        return ", ".join(f"{tag} {weight}" for tag, weight in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else content
