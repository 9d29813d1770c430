"""Retrieval of one direction: every query ranks all targets by cosine, in blocks.

It knows nothing of modalities, files or reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mmembed.evaluation.retrieval.metrics import Ties, ideal_gain, values
from mmembed.evaluation.retrieval.relevance import Of, Relevance
from mmembed.evaluation.retrieval.result import Retrieval, joined
from mmembed.evaluation.retrieval.scoring import (
    Bags,
    Ranked,
    TieList,
    as_bags,
    block_size,
    in_threads,
    scores,
    ties_among,
)
from mmembed.evaluation.retrieval.screening import QUERIES, Best, Counter, TooClose, pays, screen


@dataclass
class _Part:
    """What was found about some queries under one notion of relevance."""

    queries: list[int] = field(default_factory=list)
    unanswerable: list[int] = field(default_factory=list)
    ties: list[TieList] = field(default_factory=list)
    relevant: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    ideal: list[float] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)

    def add(self, query: int, ties: TieList, grades: np.ndarray, ranked: int, sure: float) -> None:
        self.queries.append(query)
        self.ties.append(ties)
        self.relevant.append(len(grades))
        self.targets.append(ranked)
        self.ideal.append(ideal_gain(grades))
        self.sure.append(sure)

    def scored(self) -> Retrieval:
        """Return the metrics of these queries."""
        number = np.repeat(np.arange(len(self.ties)), [len(t.before) for t in self.ties])
        columns = [[getattr(t, name) for t in self.ties] for name in TIE_COLUMNS]
        before, size, count, gain = (np.concatenate(c or [np.empty(0)]) for c in columns)
        ties = Ties(number.astype(int), before, size, count, gain, np.array(self.ideal))
        return Retrieval(
            values(ties),
            np.array(self.queries, int),
            np.array(self.unanswerable, int),
            np.array(self.relevant, int),
            np.array(self.targets, int),
            ties.first() if len(number) else np.empty((0, 3)),
            np.array(self.sure),
            (ties.totals(ties.gain), ties.ideal),
        )


TIE_COLUMNS = ("before", "size", "count", "gain")


def score(
    queries: Ranked,
    targets: Ranked,
    relevances: Sequence[Relevance],
    own: np.ndarray | None = None,
) -> list[Retrieval]:
    """Rank targets by cosine for each query and return the metrics under each relevance.

    Where few are relevant among very many, ranks are found without sorting
    (:mod:`mmembed.evaluation.retrieval.screening`); they are the same.

    Args:
        queries: unit vectors float32 ``(queries, dim)``, or bags of them.
        targets: unit vectors float32 ``(targets, dim)``, or bags of them.
        relevances: what is relevant to a query.
        own: int ``(queries, 2)``: of each query the targets, from the first to before the second,
            that are the query itself and no answer to it; None if there are none.
    """
    asked, given = as_bags(queries), as_bags(targets)
    left_out = np.zeros((len(asked), 2), int) if own is None else own
    able = np.array([any(len(j.of(i)[0]) for j in relevances) for i in range(len(asked))], bool)
    if able.all():
        return _scored(asked, given, relevances, left_out)
    number = np.flatnonzero(able)
    few = [Of(each, number) for each in relevances]
    unable = np.flatnonzero(~able)
    return [
        replace(
            found,
            queries=number[found.queries],
            unanswerable=np.sort(np.concatenate([number[found.unanswerable], unable])),
        )
        for found in _scored(asked.select(number), given, few, left_out[number])
    ]


def _scored(
    queries: Bags, targets: Bags, relevances: Sequence[Relevance], own: np.ndarray
) -> list[Retrieval]:
    """Score all queries, most of which have something relevant."""
    quick = pays(queries, targets, max((each.most for each in relevances), default=0))

    def block(start: int, stop: int) -> list[Retrieval]:
        if quick:
            try:
                return _screened(queries, targets, relevances, own, range(start, stop))
            except TooClose:
                pass
        size = block_size(queries, targets)
        few = [range(low, min(low + size, stop)) for low in range(start, stop, size)]
        return joined([_ranked(queries, targets, relevances, own, each) for each in few])

    size = QUERIES if quick else block_size(queries, targets)
    parts = list(in_threads(block, len(queries), size)) if len(targets) else []
    if not parts:
        parts = [[_Part(unanswerable=list(range(len(queries)))).scored() for _ in relevances]]
    return joined(parts)


def top(
    queries: Ranked, targets: Ranked, count: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best targets ``(queries, count)``, best first and ties by index, and scores.

    Fewer than ``count`` where a query ranks fewer.

    Args:
        queries: as for :func:`score`.
        targets: as for :func:`score`.
        count: how many of each query.
        own: as for :func:`score`.
    """
    asked, given = as_bags(queries), as_bags(targets)
    left_out = np.zeros((len(asked), 2), int) if own is None else own
    count = min(count, len(given) - int(np.diff(left_out).max(initial=0)))
    quick = pays(asked, given, 0)

    def block(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        if quick:
            vectors = asked.vectors[start:stop]
            best = Best(vectors, given.vectors, count)
            try:
                screen(vectors, given.vectors, left_out[start:stop], [best])
                return best.finish()
            except TooClose:
                pass
        parts = []
        for query in range(start, stop):
            row = scores(asked, given, query, query + 1)[0]
            row[slice(*left_out[query])] = -np.inf
            order = np.argsort(-row, kind="stable")[:count]
            parts.append((order, row[order]))
        order, found = (np.stack(each) for each in zip(*parts, strict=True))
        return order, found

    if count < 1 or not len(asked):
        return np.empty((len(asked), 0), int), np.empty((len(asked), 0))
    size = QUERIES if quick else block_size(asked, given)
    parts = list(in_threads(block, len(asked), size))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _ranked(
    queries: Bags, targets: Bags, relevances: Sequence[Relevance], own: np.ndarray, block: range
) -> list[Retrieval]:
    """Score some queries by sorting all their scores."""
    parts = [_Part() for _ in relevances]
    table = scores(queries, targets, block.start, block.stop)
    for query, row in zip(block, table, strict=True):
        low, high = own[query]
        ordered = np.sort(np.concatenate([row[:low], row[high:]]) if high > low else row)
        for part, relevance in zip(parts, relevances, strict=True):
            found, grades = _without(relevance, query, own)
            if not len(found):
                part.unanswerable.append(query)
                continue
            ties = ties_among(ordered, row[found], grades)
            part.add(query, ties, grades, len(ordered), float(ordered[-1]))
    return [part.scored() for part in parts]


def _screened(
    queries: Bags, targets: Bags, relevances: Sequence[Relevance], own: np.ndarray, block: range
) -> list[Retrieval]:
    """Score some queries by counting what is better than their relevant targets."""
    vectors, bounds = queries.vectors[block.start : block.stop], own[block.start : block.stop]
    answers = [[_without(each, query, own) for each in relevances] for query in block]
    asked = [np.unique(np.concatenate([found for found, _ in each])) for each in answers]
    counter, best = Counter(vectors, targets.vectors, asked), Best(vectors, targets.vectors, 1)
    screen(vectors, targets.vectors, bounds, [counter, best])
    counter.finish()
    sure = best.finish()[1][:, 0]
    parts = [_Part() for _ in relevances]
    for number, query in enumerate(block):
        ranked = len(targets) - int(bounds[number, 1] - bounds[number, 0])
        for part, (found, grades) in zip(parts, answers[number], strict=True):
            if not len(found):
                part.unanswerable.append(query)
                continue
            ties = counter.ties(number, np.searchsorted(asked[number], found), grades)
            part.add(query, ties, grades, ranked, float(sure[number]))
    return [part.scored() for part in parts]


def _without(relevance: Relevance, query: int, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is relevant to a query and not the query itself."""
    found, grades = relevance.of(query)
    low, high = own[query]
    other = (found < low) | (found >= high)
    return found[other], grades[other]
