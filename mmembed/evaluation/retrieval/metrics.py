"""The metrics of retrieval: the one list that scores, reports, comparisons and bounds read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from mmembed.evaluation.retrieval.aggregates import ABSTENTION, MEAN, MEDIAN, Aggregate
from mmembed.evaluation.retrieval.rank_metrics import (
    average_precision,
    discounted_gain,
    first_rank,
    hit_rate,
    precision,
    recall,
    reciprocal_rank,
)
from mmembed.evaluation.retrieval.ties import Ties

Shown = Literal["terminal", "changes"]


@dataclass(frozen=True)
class Metric:
    """A metric of retrieval.

    Args:
        name: as in JSON, tables, the page and the bounds that a user sets.
        help: its definition, a phrase.
        compute: the value of each query ``(queries,)`` of the ties that hold relevant items, where
            tied items are in every order.
        aggregate: the number of all queries, and its interval. Of those that are means, values
            are between 0 and 1, and two datasets are compared.
        better: ``lower`` of ranks, which are 1 at best; ``higher`` of what is 1 at best.
        shown: places of little room that show it: the ``terminal``, and the table of ``changes``
            between two datasets. JSON, Markdown and the page show every metric.
        column: of ``queries.parquet``, if it is not the name; None if the value of a query says
            nothing by itself.
    """

    name: str
    help: str
    compute: Callable[[Ties], np.ndarray]
    aggregate: Aggregate = MEAN
    better: Literal["higher", "lower"] = "higher"
    shown: tuple[Shown, ...] = ()
    column: str | None = ""

    def is_better(self, value: float, other: float) -> bool:
        """Return whether ``value`` is better than ``other``."""
        return value > other if self.better == "higher" else value < other


METRICS = (
    Metric(
        "R@1",
        "share of queries with at least one relevant item at rank 1 (hit rate, success@1)",
        partial(hit_rate, cut=1),
        shown=("terminal", "changes"),
    ),
    Metric(
        "R@5",
        "share of queries with at least one relevant item in the first 5 (success@5)",
        partial(hit_rate, cut=5),
    ),
    Metric(
        "R@10",
        "share of queries with at least one relevant item in the first 10 (success@10)",
        partial(hit_rate, cut=10),
        shown=("terminal",),
    ),
    Metric("P@10", "share of the first 10 that are relevant", precision),
    Metric("recall@10", "share of a query's relevant items that are in the first 10", recall),
    Metric(
        "mAP",
        "mean average precision over the whole ranking",
        average_precision,
        shown=("terminal", "changes"),
    ),
    Metric("MRR", "mean reciprocal rank of the first relevant item", reciprocal_rank),
    Metric(
        "nDCG@10",
        "normalised discounted cumulative gain of the first 10; gains are the grades of the qrels, "
        "else 1; log2 discount",
        discounted_gain,
        shown=("terminal",),
    ),
    Metric(
        "median rank",
        "median over the queries of the rank of the first relevant item",
        first_rank,
        MEDIAN,
        better="lower",
        shown=("terminal",),
        column="first rank",
    ),
    Metric(
        "nAUC",
        "how well the best score of a query tells whether its average precision is high: area "
        "under mAP over the share of queries abstained from, least sure first, between that of "
        "abstaining at random (0) and by an oracle (1)",
        average_precision,
        ABSTENTION,
        column=None,
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}
MEANS = tuple(metric for metric in METRICS if metric.aggregate is MEAN)
MAIN = "mAP"  # of verdicts, tiles, and queries that are shown as best and worst


def values(ties: Ties) -> dict[str, np.ndarray]:
    """Return the value of each query ``(queries,)`` by the name of the metric."""
    columns = {compute: compute(ties) for compute in {metric.compute for metric in METRICS}}
    return {metric.name: columns[metric.compute] for metric in METRICS}
