"""Relevance of targets to a query: those of the same key, or those that a qrels file names.

It knows items by number, and nothing of vectors or metrics.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mmembed.store.label_codes import LabelCodes

OVERLAP = 0.5  # of the union of two spans, from which they are the same moment
Answers = tuple[np.ndarray, np.ndarray]


class Relevance(Protocol):
    """The targets that are relevant to each query of one direction."""

    @property
    def most(self) -> int:
        """The largest number of relevant targets a query may have."""

    def of(self, query: int) -> Answers:
        """Return the relevant targets of a query, ascending, and their grades above 0."""


@dataclass(frozen=True)
class Spans:
    """Start and end of items in seconds ``(items,)``, NaN for what has no time."""

    start: np.ndarray
    end: np.ndarray

    def overlaps(self, start: float, end: float, items: np.ndarray) -> np.ndarray:
        """Return which ``items`` share at least :data:`OVERLAP` of the union with a span.

        What has no time overlaps everything.
        """
        if np.isnan(start) or np.isnan(end):
            return np.ones(len(items), bool)
        begins, ends = self.start[items], self.end[items]
        shared = np.minimum(end, ends) - np.maximum(start, begins)
        union = np.maximum(end, ends) - np.minimum(start, begins)
        return ~(shared < OVERLAP * union * (1 - 1e-9))


@dataclass(frozen=True)
class SameKey:
    """Relevance of the targets that share a key with the query.

    Args:
        queries: integers ``(queries,)``, -1 for an unknown key, which is relevant to nothing; or
            the codes of several keys each.
        targets: of the targets; likewise.
        moments: spans of queries and of targets, if only what is at the same time is relevant.
    """

    queries: np.ndarray | LabelCodes
    targets: np.ndarray | LabelCodes
    moments: tuple[Spans, Spans] | None = None
    _asked: LabelCodes = field(init=False, repr=False)
    _items: np.ndarray = field(init=False, repr=False)
    _bounds: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        asked, given = (
            each if isinstance(each, LabelCodes) else LabelCodes.of_padded(each[:, None])
            for each in (self.queries, self.targets)
        )
        order = np.argsort(given.codes, kind="stable")
        ranked = given.codes[order]
        low, high = (np.searchsorted(ranked, asked.codes, side) for side in ("left", "right"))
        object.__setattr__(self, "_asked", asked)
        object.__setattr__(self, "_items", given.items[order])
        object.__setattr__(self, "_bounds", np.stack([low, high], 1))

    @property
    def known(self) -> np.ndarray:
        """Whether each query has a key, bool ``(queries,)``."""
        return self._asked.counts > 0

    @property
    def most(self) -> int:
        """The largest number of targets that the keys of a query have, each counted by itself."""
        counts = self._bounds[:, 1] - self._bounds[:, 0]
        sums = np.bincount(self._asked.items, counts, len(self._asked))
        return min(int(sums.max(initial=0)), len(self.targets))

    def of(self, query: int) -> Answers:
        """Return the targets with a key of the query, ascending, each of grade 1."""
        starts = self._asked.starts
        bounds = self._bounds[starts[query] : starts[query + 1]]
        parts = [self._items[low:high] for low, high in bounds]
        if len(parts) == 1:
            same = parts[0]
        else:
            same = np.unique(np.concatenate([*parts, np.empty(0, int)]))
        if self.moments is not None:
            asked, given = self.moments
            same = same[given.overlaps(asked.start[query], asked.end[query], same)]
        return same, np.ones(len(same))


@dataclass(frozen=True)
class Judged:
    """Relevance as somebody judged it.

    Args:
        starts: int ``(queries + 1,)``: the judgements of query i are ``starts[i]:starts[i + 1]``.
        targets: target of each judgement, ascending within a query.
        grades: grade of each, above 0.
    """

    starts: np.ndarray
    targets: np.ndarray
    grades: np.ndarray

    @property
    def most(self) -> int:
        """The largest number of judged targets of a query."""
        return int(np.diff(self.starts).max(initial=0))

    def of(self, query: int) -> Answers:
        """Return the judged targets of a query and their grades."""
        part = slice(self.starts[query], self.starts[query + 1])
        return self.targets[part], self.grades[part]


@dataclass(frozen=True)
class RelevanceOfSome:
    """Relevance to some of the queries, numbered anew.

    Args:
        relevance: of all queries.
        queries: the number of each among all ``(queries,)``.
    """

    relevance: Relevance
    queries: np.ndarray

    @property
    def most(self) -> int:
        """The largest number of relevant targets of any query."""
        return self.relevance.most

    def of(self, query: int) -> Answers:
        """Return the relevant targets of a query and their grades."""
        return self.relevance.of(int(self.queries[query]))
