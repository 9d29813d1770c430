"""Segments of a long text: whole words, as many as have room, with an overlap.

Pure arithmetic on characters; what a token is, the caller says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

# White space is Unicode's, as the tokenizers library has it; Python's holds four more.
WORD = re.compile(r"[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


class Unit(NamedTuple):
    """A piece ``[start, end)`` of a text that a segment holds whole, and its number of tokens."""

    start: int
    end: int
    tokens: int


def segments(
    text: str, offsets: np.ndarray, room: int, overlap: int, fits: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Yield the first character of each segment and the one after its last, in order.

    Every character that a token stands for lies in a segment, and each segment adds something to
    those before it.

    Args:
        text: to cut.
        offsets: where its tokens stand, ``(tokens, 2)``.
        room: tokens of a segment, at most.
        overlap: tokens that two segments that follow each other share, at most.
        fits: tells whether a segment is short enough by itself: a word may have other tokens
            there than in the whole text. One that can't be cut any more is yielded as it is.
    """
    units = list(_units(text, offsets, room))
    first, reached = 0, 0
    while reached < len(units):
        end = _packed(units, first, room)
        while end > max(first + 1, reached) and not fits(_between(text, units, first, end)):
            end -= 1
        if end <= reached and first < reached:
            first = reached  # an overlap would leave no room for anything new
        elif (
            end == first + 1
            and not fits(_between(text, units, first, end))
            and (halves := _halves(units[first]))
        ):
            units[first:end] = halves
        else:
            yield units[first].start, units[end - 1].end
            first, reached = _next_first(units, first, end, room, overlap), end


def _units(text: str, offsets: np.ndarray, room: int) -> Iterator[Unit]:
    """Yield the words of a text; of one with more tokens than there is room for, these."""
    starts = np.sort(offsets[:, 0])
    change = np.zeros(len(text) + 1, np.int64)
    np.add.at(change, offsets[:, 0], 1)
    np.add.at(change, offsets[:, 1], -1)
    covered = np.concatenate([[0], np.cumsum(np.cumsum(change) > 0)])
    for match in WORD.finditer(text):
        start, end = match.span()
        low, high = np.searchsorted(starts, (start, end))
        if covered[end] == covered[start]:  # no token stands for it
            continue
        if high - low <= room:
            yield Unit(start, end, int(high - low))
            continue
        cuts = [start, *(int(cut) for cut in np.unique(starts[low:high]) if cut > start), end]
        for left, right in itertools.pairwise(cuts):
            few = np.searchsorted(starts, right) - np.searchsorted(starts, left)
            yield Unit(left, right, int(few))


def _packed(units: list[Unit], first: int, room: int) -> int:
    """Return the end of the units from ``first`` on that have room together, one at least."""
    end, tokens = first + 1, units[first].tokens
    while end < len(units) and tokens + units[end].tokens <= room:
        tokens += units[end].tokens
        end += 1
    return end


def _next_first(units: list[Unit], first: int, end: int, room: int, overlap: int) -> int:
    """Return where the segment after ``[first, end)`` starts, with room for one more unit."""
    tokens, start = 0, end
    more = units[end].tokens if end < len(units) else 0
    while start - 1 > first:
        tokens += units[start - 1].tokens
        if tokens > overlap or tokens + more > room:
            break
        start -= 1
    return start


def _between(text: str, units: list[Unit], first: int, end: int) -> str:
    return text[units[first].start : units[end - 1].end]


def _halves(unit: Unit) -> list[Unit]:
    middle = (unit.start + unit.end) // 2
    if middle == unit.start:
        return []
    few = max(1, unit.tokens // 2)
    return [Unit(unit.start, middle, few), Unit(middle, unit.end, few)]
