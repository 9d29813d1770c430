"""Queries that nothing answers, and judgements of what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmembed.evaluation.data_checks.data_fault import EXAMPLES, DataFault, counted

JUDGED = "qrels"
PAIRING = ("group", "stem")


@dataclass(frozen=True)
class QueryCount:
    """The queries of a direction, counted, and those that nothing answers.

    Attributes:
        direction: ``image → audio``.
        relevance: ``label``, ``group``, ``stem`` or ``qrels``.
        queries: with a label, group or judgement; those without are no queries.
        unanswerable: of them, with nothing relevant among the targets.
        examples: paths of a few of these.
    """

    direction: str
    relevance: str
    queries: int
    unanswerable: int
    examples: Sequence[str] = ()


def lint_relevance(counts: Sequence[QueryCount]) -> list[DataFault]:
    """Return a fault for each direction in which queries have nothing relevant.

    A label, group or stem that answers nothing in any direction means something else (a speaker, a
    take), and is no fault while another notion answers; judgements that answer nothing are. Nor is
    a group or stem without a partner in a direction where the labels answer every query: media
    need not come in pairs.

    Args:
        counts: every direction under every notion of relevance whose keys both sides have.
    """
    useful = {each.relevance for each in counts if each.unanswerable < each.queries}
    if not useful:
        count = max((each.queries for each in counts), default=0)
        message = (
            "nothing says which files belong together (no two share a label or a group, and no "
            "judgement joins two), so no retrieval can be scored: give the media such a column"
        )
        return [DataFault("nothing-relevant", count, message)]
    labels = [each for each in counts if each.relevance == "label"]
    answered = {each.direction for each in labels if not each.unanswerable}
    return [
        _fault(each)
        for each in counts
        if each.unanswerable
        and (each.relevance in useful or each.relevance == JUDGED)
        and not (each.relevance in PAIRING and each.direction in answered)
    ]


def lint_qrels(unknown_queries: Sequence[str], unknown_targets: Sequence[str]) -> list[DataFault]:
    """Return faults for judged queries and targets that are not among the items."""
    faults = []
    for what, ids in (("query", unknown_queries), ("target", unknown_targets)):
        different = tuple(dict.fromkeys(ids))
        if different:
            message = (
                f"{counted(len(different), what)} of the qrels not in the dataset: judge what was "
                f"embedded, or embed what was judged (ids are the paths of the dataset)"
            )
            faults.append(DataFault("unknown-id", len(different), message, different[:EXAMPLES]))
    return faults


def _fault(asked: QueryCount) -> DataFault:
    examples = tuple(asked.examples[:EXAMPLES])
    if asked.unanswerable == asked.queries:
        message = (
            f"{asked.direction}: nothing relevant by {asked.relevance} to any of "
            f"{counted(asked.queries, 'query')}, so nothing is scored there: check that both "
            f"sides write it alike"
        )
        return DataFault("nothing-relevant", asked.unanswerable, message, examples)
    message = (
        f"{asked.direction}: nothing relevant by {asked.relevance} to {asked.unanswerable:,} of "
        f"{counted(asked.queries, 'query')}, left out of the scores: add what answers them, or "
        f"remove them"
    )
    return DataFault("unanswerable", asked.unanswerable, message, examples)
