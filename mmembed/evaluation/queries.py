"""Queries as a table, a row a query and direction: ``queries.parquet``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import METRICS


def query_table(evaluation: Evaluation) -> pa.Table:
    """Return every query of every direction with its metrics.

    Columns: ``relevance``, ``query_modality`` and ``target_modality`` (the fields, each its
    modality unless it has a name of its own), ``path``, ``start_s`` and ``end_s`` or
    ``start_char`` and ``end_char`` (null for a whole file or text), ``label``, ``group``,
    ``relevant`` and ``targets`` (how many there are), ``best_score``, and each metric that says
    something of one query (``first rank`` in place of the median rank). A query with nothing
    relevant has nulls.
    """
    tables = []
    for direction in evaluation.directions:
        result = direction.result
        part = evaluation.items.select(evaluation.items.field == direction.query)
        index = np.concatenate([result.queries, result.unanswerable])
        scored = np.arange(len(index)) < len(result.queries)

        def column(values: np.ndarray, scored: np.ndarray = scored) -> pa.Array:
            filled = np.zeros(len(scored), values.dtype)
            filled[: len(values)] = values
            return pa.array(filled, mask=~scored)

        columns: dict[str, pa.Array] = {
            "relevance": pa.array([direction.relevance] * len(index)),
            "query_modality": pa.array([direction.query] * len(index)),
            "target_modality": pa.array([direction.target] * len(index)),
            "path": pa.array(part.path[index], pa.string()),
            "start_s": pa.array(part.start[index], from_pandas=True),
            "end_s": pa.array(part.end[index], from_pandas=True),
            "start_char": pa.array(part.start_char[index], from_pandas=True).cast(pa.int64()),
            "end_char": pa.array(part.end_char[index], from_pandas=True).cast(pa.int64()),
            "label": pa.array(part.label[index], pa.string()),
            "group": pa.array(part.group[index], pa.string()),
            "relevant": column(result.relevant),
            "targets": column(result.targets),
            "best_score": column(result.sure),
        }
        for metric in METRICS:
            if metric.column is not None:
                columns[metric.column or metric.name] = column(result.values[metric.name])
        tables.append(pa.table(columns))
    return pa.concat_tables(tables) if tables else pa.table({})
