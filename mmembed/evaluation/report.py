"""The offline page, the JSON and the Markdown of an evaluation."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs

from mmembed.evaluation.findings import Evaluation
from mmembed.evaluation.gallery import Gallery, choose
from mmembed.evaluation.geometry import even_sample, pca_map, tsne_map
from mmembed.evaluation.items import Items
from mmembed.evaluation.tables import all_tables, markdown, number
from mmembed.evaluation.thumbnails import Thumbnail, thumbnail
from mmembed.storage import place

MAP_POINTS = 1500
MATRIX_METRICS = ("mAP", "R@1", "R@5", "R@10", "MRR", "nDCG@10")


def write_report(found: Evaluation, folder: Path, media: str | Path | None) -> Path:
    """Write ``report.html``, ``report.json`` and ``report.md`` and return the page's path.

    Args:
        found: what to report.
        folder: made if need be.
        media: root of the media files for pictures and sounds; files not found there are shown
            by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = found.to_dict()
    galleries = _galleries(found)
    shown = {i for g in galleries for i in _indices(g)}
    points = _map(found.items)
    thumbnails = _thumbnails(found.items, shown, points["index"], media)
    environment = Environment(loader=PackageLoader("mmembed.evaluation"), autoescape=True)
    environment.filters["number"] = number
    data = {
        "map": _describe(found.items, points),
        "pictures": {i: t.picture for i, t in thumbnails.items() if t.picture},
        "sounds": {i: t.sound for i, t in thumbnails.items() if t.sound},
        "confusion": [c for c in numbers["classification"] if c["method"] == "linear probe"],
    }
    page = environment.get_template("report.html.j2").render(
        found=numbers,
        sentences=found.sentences,
        headline=_headline(numbers),
        matrices=_matrices(numbers["retrieval"]),
        tables=all_tables(numbers),
        galleries=galleries,
        items=found.items,
        missing=sum(1 for t in thumbnails.values() if not t.picture),
        data=_script_safe(data),
        points=len(points["index"]),
        plotly=get_plotlyjs(),
    )
    text = json.dumps(_finite(numbers), indent=2, ensure_ascii=False)
    _write(folder / "report.json", text + "\n")
    _write(folder / "report.md", markdown(numbers))
    return _write(folder / "report.html", page)


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8", errors="replace")
    os.replace(partial, path)
    return path


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _script_safe(data: Any) -> str:
    """Return JSON that can't end the script element it stands in."""
    text = json.dumps(_finite(data), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _galleries(found: Evaluation) -> list[Gallery]:
    """Return a gallery a direction, by label where there are labels, else by group."""
    if not found.directions:
        return []
    first = found.directions[0].relevance
    return [choose(found.items, d) for d in found.directions if d.relevance == first]


def _indices(gallery: Gallery) -> list[int]:
    examples = [*gallery.worst, *gallery.best]
    return [s.index for e in examples for s in (e.query, *e.results)]


def _map(items: Items) -> dict[str, np.ndarray]:
    """Return indices and places ``(points, 2)`` of evenly sampled items of each modality."""
    share = MAP_POINTS // max(1, len(items.modalities))
    parts = [np.flatnonzero(items.modality == m) for m in items.modalities]
    index = np.concatenate([part[even_sample(len(part), share)] for part in parts])
    vectors = items.vectors[index]
    return {"index": index, "tsne": tsne_map(vectors), "pca": pca_map(vectors)}


def _describe(items: Items, points: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [
        {
            "i": int(i),
            **{name: [round(float(x), 3) for x in points[name][row]] for name in ("tsne", "pca")},
            "modality": items.modality[i],
            "label": items.label[i] if items.label[i] is not None else "no label",
            "path": items.path[i],
        }
        for row, i in enumerate(points["index"])
    ]


def _thumbnails(
    items: Items, shown: set[int], points: np.ndarray, media: str | Path | None
) -> dict[int, Thumbnail]:
    """Return thumbnails of all shown items; sounds only where they can be played."""
    wanted = sorted(shown | {int(i) for i in points})
    root = place(media) if media else None

    def make(index: int) -> Thumbnail:
        if root is None:
            return Thumbnail()
        return thumbnail(root / items.path[index], items.modality[index], index in shown)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(wanted, pool.map(make, wanted), strict=True))


def _headline(numbers: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the few numbers that stand at the top of the page."""
    found = []
    for relevance in dict.fromkeys(r["relevance"] for r in numbers["retrieval"]):
        scores = [r["mAP"] for r in numbers["retrieval"] if r["relevance"] == relevance]
        found.append((f"mAP by {relevance}, mean of {len(scores)}", float(np.mean(scores))))
    for method in dict.fromkeys(c["method"] for c in numbers["classification"]):
        scores = [c["accuracy"] for c in numbers["classification"] if c["method"] == method]
        found.append((f"{method} accuracy, mean of {len(scores)}", float(np.mean(scores))))
    return found


def _matrices(retrieval: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, by relevance and metric, the table query × target."""
    found = []
    for relevance in dict.fromkeys(r["relevance"] for r in retrieval):
        rows = [r for r in retrieval if r["relevance"] == relevance]
        names = list(dict.fromkeys(n for r in rows for n in (r["query"], r["target"])))
        for metric in MATRIX_METRICS:
            cells = {(r["query"], r["target"]): (r[metric], r["chance"][metric]) for r in rows}
            found.append({"relevance": relevance, "metric": metric, "names": names, "cells": cells})
    return found
