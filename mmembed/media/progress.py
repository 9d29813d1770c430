"""Progress of decoding, told to whoever guards this process: without it nobody listens.

A decoder that works on for long before it has something to give away, such as one that goes
forward to a far span, calls :func:`report` now and then, as often as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """The state of a task.

    Attributes:
        item: number of the item of the task that is being decoded.
        seconds: of its media, decoded in this pass over it.
        passes: number of passes over items that were begun.
    """

    item: int = 0
    seconds: float = 0.0
    passes: int = 0


_now = Progress()
_listener: Callable[[Progress], None] | None = None


def listen(listener: Callable[[Progress], None] | None) -> None:
    """Have ``listener`` called with all progress of this process; None for nobody."""
    global _listener, _now
    _listener, _now = listener, Progress()


def begin(item: int) -> None:
    """Say that a pass over an item of a task begins, from its first second."""
    global _now
    if _listener is not None:
        _now = Progress(item, 0.0, _now.passes + 1)
        _listener(_now)


def begin_again() -> None:
    """Say that another pass over the item begins: it is decoded from its first second again."""
    begin(_now.item)


def report(seconds: float) -> None:
    """Say that the item is decoded up to a time, in seconds from its beginning.

    Only a time later than all before it is progress: a decoder that goes back is not ahead until
    it is where it was.
    """
    global _now
    if _listener is not None and seconds > _now.seconds:
        _now = _now._replace(seconds=seconds)
        _listener(_now)
