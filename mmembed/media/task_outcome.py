"""Outcomes of the tasks of a guarded pool, and the state of those at work."""

from __future__ import annotations

from dataclasses import dataclass

NO_MEMORY = "needs more memory than a decode process may take. Raise that limit"


@dataclass(frozen=True)
class Done:
    """The end of a task whose results all came out."""


@dataclass(frozen=True)
class Failure:
    """The reason why a task has no more results: its process took too long, or came to an end.

    Attributes:
        error: class name of the error.
        message: what happened, for people.
    """

    error: str
    message: str


@dataclass(frozen=True)
class Raised:
    """A mistake of the work itself, or of the pool.

    Attributes:
        error: to be raised where results are waited for.
        trace: where it came from, in its process.
    """

    error: BaseException
    trace: str = ""


@dataclass(frozen=True)
class AtWork:
    """A task that a process is at.

    Attributes:
        began: when, by ``time.monotonic``.
        item: number of the item of the task that it is at; None if it did not tell yet.
        media_seconds: of that item's media, decoded so far.
    """

    began: float
    item: int | None = None
    media_seconds: float = 0.0


def how_it_ended(exit_code: int | None) -> str:
    """Return how a process ended, by its exit code."""
    if exit_code is not None and exit_code < 0:
        return f"the decoder crashed its process (signal {-exit_code})"
    return f"the decoder ended its process (exit code {exit_code})"
