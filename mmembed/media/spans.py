"""Spans of long media and texts, boxes of pictures, times of frames: pure arithmetic.

Spans are half-open. Those of media are ``[start_seconds, end_seconds)``, measured from the first
sample or frame; those of texts are ``[start_char, end_char)``. Boxes are in pixels.
This module knows nothing of files, rates or decoders.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

RESOLUTION_SECONDS = 1e-6  # shorter than a sample of any sound: rounding, not media


@dataclass(frozen=True)
class Span:
    """A half-open piece ``[start_seconds, end_seconds)`` of a file, ``index`` counting from 0."""

    index: int
    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds <= self.end_seconds < math.inf:
            raise ValueError(
                f"a span needs 0 <= start <= end, got {self.start_seconds}-{self.end_seconds} s"
            )

    @property
    def length_seconds(self) -> float:
        """Seconds between start and end."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class TextSpan:
    """A half-open piece ``[start_char, end_char)`` of a text, ``index`` counting from 0."""

    index: int
    start_char: int
    end_char: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_char <= self.end_char:
            raise ValueError(
                f"a span needs 0 <= start <= end, got characters {self.start_char}-{self.end_char}"
            )


@dataclass(frozen=True)
class Box:
    """A rectangle of an upright picture, in pixels from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, each at the nearest border between pixels."""
        right, bottom = self.x + self.width, self.y + self.height
        return round(self.x), round(self.y), round(right), round(bottom)


AnySpan = Span | TextSpan | Box


def cut(
    duration_seconds: float, length_seconds: float, hop_seconds: float, min_seconds: float
) -> list[Span]:
    """Cut ``[0, duration_seconds)`` into spans that cover all of it, in order and without padding.

    Span ``i`` starts at ``i * hop_seconds`` and is ``length_seconds`` long; the last one ends at
    ``duration_seconds`` exactly and may be shorter. A last span that would add less than
    ``min_seconds`` to the one before it is not made: the one before it is extended to the end
    instead, so it may be up to ``length_seconds + min_seconds`` long. No span lies inside
    another, and media shorter than ``length_seconds`` (or of no length) is one span.

    Args:
        duration_seconds: length of the media, in seconds.
        length_seconds: length of a span, in seconds.
        hop_seconds: distance between two starts, in seconds; at most ``length_seconds``, or
            something would be left out.
        min_seconds: the least that the last span must add.

    Raises:
        ValueError: an argument is negative, not finite, or leaves holes.
    """
    given = (duration_seconds, length_seconds, hop_seconds, min_seconds)
    if not all(math.isfinite(value) and value >= 0 for value in given):
        raise ValueError(f"seconds must be finite and not negative, got {given}")
    if not 0 < hop_seconds <= length_seconds:
        raise ValueError(
            f"needs 0 < hop_seconds <= length_seconds, got {hop_seconds} and {length_seconds}"
        )
    least = max(min_seconds, RESOLUTION_SECONDS)
    last = 0
    while duration_seconds - (last * hop_seconds + length_seconds) >= least:
        last += 1
    starts = [i * hop_seconds for i in range(last + 1)]
    # i * hop + length may round to a hair before the next start: there must be no hole
    ends = [max(a + length_seconds, b) for a, b in itertools.pairwise(starts)]
    return [
        Span(i, start, end)
        for i, (start, end) in enumerate(zip(starts, [*ends, duration_seconds], strict=True))
    ]


def uniform_times(span: Span, count: int) -> list[float]:
    """Return the midpoints ``(count,)`` of ``count`` equal parts of a span, in seconds.

    Raises:
        ValueError: ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    return [span.start_seconds + (i + 0.5) / count * span.length_seconds for i in range(count)]


def steady_times(span: Span, per_second: float, most: int) -> list[float]:
    """Return times from the start of a span on, ``per_second`` of them, in seconds.

    There is one at least. Of more than ``most``, so many that lie evenly among them are kept.

    Raises:
        ValueError: ``per_second`` is not positive, or ``most`` is less than 1.
    """
    if not 0 < per_second < math.inf:
        raise ValueError(f"per_second must be positive, got {per_second}")
    count = max(1, math.ceil(span.length_seconds * per_second - RESOLUTION_SECONDS))
    return [span.start_seconds + index / per_second for index in evenly(count, most)]


def evenly(count: int, most: int) -> list[int]:
    """Return the indices of ``count`` things, or of ``most`` that lie evenly among them.

    Raises:
        ValueError: ``most`` is less than 1.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    if count <= most:
        return list(range(count))
    return [(2 * i + 1) * count // (2 * most) for i in range(most)]
