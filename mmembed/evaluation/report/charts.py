"""Data of the page's charts: the map, the recall curves, ranks and confusion matrices.

Everything here is JSON-ready but for NaN, and free of markup; the scripts of the page draw it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmembed.evaluation.items import Items
from mmembed.evaluation.report.item_words import describe
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.space_geometry import even_sample, pca_map, tsne_map

MAP_POINTS = 1500
MOST_LABELS = 40  # of a confusion matrix that is drawn


def chart_data(evaluation: Evaluation, numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the data of all charts.

    Args:
        evaluation: the results.
        numbers: its ``to_dict()``.
    """
    points = _map(evaluation.items)
    return {
        "map": points,
        "items": describe(evaluation.items, [point["i"] for point in points]),
        "fields": list(evaluation.items.fields),
        "retrieval": [_curves(row) for row in numbers["retrieval"]],
        "classification": [_confusion(row) for row in numbers["classification"]],
    }


def _map(items: Items) -> list[dict[str, Any]]:
    """Return indices and places of evenly sampled items of each field."""
    fields = items.fields
    share = MAP_POINTS // max(1, len(fields))
    parts = [np.flatnonzero(items.field == field) for field in fields]
    index = np.concatenate([part[even_sample(len(part), share)] for part in parts])
    vectors = items.vectors[index]
    places = {"tsne": tsne_map(vectors), "pca": pca_map(vectors)}
    return [
        {
            "i": int(i),
            **{name: [round(float(x), 3) for x in at[row]] for name, at in places.items()},
        }
        for row, i in enumerate(index)
    ]


def _curves(row: dict[str, Any]) -> dict[str, Any]:
    """Return the recall curve and the ranks of a direction, and what chance would give."""
    return {
        "relevance": row["relevance"],
        "query": row["query"],
        "target": row["target"],
        **row["recall_curve"],
        "upto": row["first_ranks"]["upto"],
        "queries": row["first_ranks"]["queries"],
    }


def _confusion(row: dict[str, Any]) -> dict[str, Any]:
    drawn = row["confusion"] is not None and len(row["labels"]) <= MOST_LABELS
    return {
        "field": row["modality"],
        "method": row["method"],
        "setting": row["setting"],
        "protocol": row["protocol"],
        "labels": row["labels"] if drawn else [],
        "classes": len(row["labels"]),
        "confusion": row["confusion"] if drawn else None,
        "errors": row["most_confused"],
    }
