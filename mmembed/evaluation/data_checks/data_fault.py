"""A fault of the data: a code, a count, a sentence, and a few examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

EXAMPLES = 5

FaultKind = Literal[
    "placeholder",
    "blanks",
    "spelling",
    "unknown-split",
    "missing",
    "length",
    "nan",
    "zero",
    "collapsed",
    "repeated",
    "empty-query",
    "duplicate-query",
    "unlabelled",
    "ungrouped",
    "split-leak",
    "near-duplicate",
    "unanswerable",
    "nothing-relevant",
    "unknown-id",
]


@dataclass(frozen=True)
class DataFault:
    """Something wrong with the data.

    Attributes:
        kind: a short code that stays the same.
        count: how many vectors, items, queries, groups or ids it concerns.
        message: a sentence that says what is wrong and what to do.
        examples: a few paths (ids, of a qrels file); copies stand behind what they are copies of.
    """

    kind: FaultKind
    count: int
    message: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """Return the fault, JSON-ready."""
        return {
            "kind": self.kind,
            "count": self.count,
            "message": self.message,
            "examples": list(self.examples),
        }


def counted(count: int, one: str) -> str:
    """Return ``1 query`` or ``1,200 queries``."""
    many = one[:-1] + "ies" if one.endswith("y") else one + "s"
    return f"{count:,} {one if count == 1 else many}"
