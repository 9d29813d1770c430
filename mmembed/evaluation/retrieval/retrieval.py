"""Retrieval of one direction: every query ranks all targets by cosine.

It knows nothing of modalities, files or reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mmembed.evaluation.retrieval.metrics import values
from mmembed.evaluation.retrieval.relevance import Relevance, RelevanceOfSome
from mmembed.evaluation.retrieval.result import Retrieval, joined
from mmembed.evaluation.retrieval.ties import Ties, ideal_gain
from mmembed.neighbors.exact import Ranks, RankSearch
from mmembed.neighbors.products import in_threads
from mmembed.neighbors.vector_rows import Bags, Ranked, as_bags


@dataclass
class _Part:
    """The ranks of what is relevant to some queries under one notion of relevance."""

    queries: list[int] = field(default_factory=list)
    unanswerable: list[int] = field(default_factory=list)
    before: list[np.ndarray] = field(default_factory=list)
    size: list[np.ndarray] = field(default_factory=list)
    grades: list[np.ndarray] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)

    def add(self, query: int, ranks: Ranks, which: np.ndarray, grades: np.ndarray) -> None:
        """Take in the ranks of a query's relevant targets, ``which`` of those that are known."""
        if not len(which):
            self.unanswerable.append(query)
            return
        self.queries.append(query)
        self.before.append(ranks.before[which])
        self.size.append(ranks.size[which])
        self.grades.append(grades)
        self.targets.append(ranks.ranked)
        self.sure.append(ranks.best)

    def scored(self) -> Retrieval:
        """Return the metrics of these queries."""
        ties = self._ties()
        return Retrieval(
            values(ties),
            np.array(self.queries, int),
            np.array(self.unanswerable, int),
            np.array([len(each) for each in self.grades], int),
            np.array(self.targets, int),
            ties.first if len(self.queries) else np.empty((0, 3)),
            np.array(self.sure),
            (ties.totals(ties.gain), ties.ideal),
        )

    def _ties(self) -> Ties:
        """Return the relevant targets by tie: those of a query with as many targets before."""
        query = np.repeat(np.arange(len(self.queries)), [len(each) for each in self.grades])
        before, size = (np.concatenate([*c, np.empty(0, int)]) for c in (self.before, self.size))
        grades = np.concatenate([*self.grades, np.empty(0)])
        most = max(self.targets, default=0) + 1
        keys, first, tie = np.unique(query * most + before, return_index=True, return_inverse=True)
        tie = tie.reshape(-1)
        return Ties(
            query[first],
            before[first],
            size[first],
            np.bincount(tie, minlength=len(keys)),
            np.bincount(tie, grades, len(keys)),
            np.array([ideal_gain(each) for each in self.grades]),
        )


def score(
    queries: Ranked,
    targets: Ranked,
    relevances: Sequence[Relevance],
    own: np.ndarray | None = None,
) -> list[Retrieval]:
    """Rank targets by cosine for each query and return the metrics under each relevance.

    Args:
        queries: unit vectors float32 ``(queries, dim)``, or bags of them.
        targets: unit vectors float32 ``(targets, dim)``, or bags of them.
        relevances: what is relevant to a query.
        own: int ``(queries, 2)``: of each query the targets, from the first to before the second,
            that are the query itself and no answer to it; None if there are none.

    Raises:
        MmembedError: a vector is not finite.
    """
    asked, given = as_bags(queries), as_bags(targets)
    left_out = np.zeros((len(asked), 2), int) if own is None else own
    able = np.array([any(len(r.of(i)[0]) for r in relevances) for i in range(len(asked))], bool)
    if able.all():
        return _scored(asked, given, relevances, left_out)
    number = np.flatnonzero(able)
    few = [RelevanceOfSome(each, number) for each in relevances]
    unable = np.flatnonzero(~able)
    return [
        replace(
            result,
            queries=number[result.queries],
            unanswerable=np.sort(np.concatenate([number[result.unanswerable], unable])),
        )
        for result in _scored(asked.select(number), given, few, left_out[number])
    ]


def _scored(
    queries: Bags, targets: Bags, relevances: Sequence[Relevance], own: np.ndarray
) -> list[Retrieval]:
    """Score all queries, most of which have something relevant."""
    most = max((each.most for each in relevances), default=0)
    search = RankSearch(queries, targets, most, own)

    def block(numbers: range) -> list[Retrieval]:
        answers = [[_without(each, query, own) for each in relevances] for query in numbers]
        wanted = [_union([targets for targets, _ in each]) for each in answers]
        parts = [_Part() for _ in relevances]
        ranks = search.ranks(numbers, wanted)
        for query, known, items, each in zip(numbers, ranks, wanted, answers, strict=True):
            for part, (relevant, grades) in zip(parts, each, strict=True):
                part.add(query, known, np.searchsorted(items, relevant), grades)
        return [part.scored() for part in parts]

    parts = list(in_threads(block, len(queries), search.block_size)) if len(targets) else []
    if not parts:
        parts = [[_Part(unanswerable=list(range(len(queries)))).scored() for _ in relevances]]
    return joined(parts)


def _union(relevant: Sequence[np.ndarray]) -> np.ndarray:
    """Return the targets, ascending, that are relevant by any notion."""
    if len(relevant) == 1:
        return relevant[0]
    return np.unique(np.concatenate([*relevant, np.empty(0, int)]))


def _without(relevance: Relevance, query: int, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is relevant to a query and not the query itself, ascending, and its grades."""
    targets, grades = relevance.of(query)
    low, high = own[query]
    other = (targets < low) | (targets >= high)
    return targets[other], grades[other]
