"""One dataset to one verdict: every number that the report, the JSON and the tables show."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from mmembed.errors import ConfigError
from mmembed.evaluation.classification import Classification, classify
from mmembed.evaluation.geometry import alignment, effective_rank, modality_gap, uniformity
from mmembed.evaluation.items import RELEVANCES, Items, Relevance, choose_split, read_items
from mmembed.evaluation.lint import lint
from mmembed.evaluation.retrieval import METRICS, Retrieval, score
from mmembed.store.schema import Provenance
from mmembed.store.table import EmbeddingTable


@dataclass(frozen=True)
class Direction:
    """Retrieval from one modality to another under one notion of relevance."""

    relevance: Relevance
    query: str
    target: str
    result: Retrieval

    @property
    def name(self) -> str:
        """``image → audio``."""
        return f"{self.query} → {self.target}"


@dataclass(frozen=True)
class Evaluation:
    """All that was found out about one dataset.

    Attributes:
        items: the files that were scored, by their pooled vectors.
        provenance: what made the dataset.
        protocol: what was scored, in words.
        faults: a sentence for each fault of the data.
        directions: retrieval in every direction, by label and by group.
        classification: by modality, k-NN and linear probe.
        geometry: by name, a number.
        report: the page that was written, if one was asked for.
    """

    items: Items
    provenance: Provenance
    protocol: str
    faults: list[str]
    directions: list[Direction]
    classification: dict[str, list[Classification]]
    geometry: dict[str, float] = field(default_factory=dict)
    report: Path | None = None

    @property
    def verdict(self) -> str:
        """One sentence a notion of relevance, with the best and the worst direction."""
        sentences = []
        for relevance in RELEVANCES:
            found = [d for d in self.directions if d.relevance == relevance]
            if found:
                found.sort(key=lambda d: d.result.mean("mAP"))
                low, high = found[0], found[-1]
                sentences.append(
                    f"By {relevance}, mAP runs from {low.result.mean('mAP'):.3f} ({low.name}) to "
                    f"{high.result.mean('mAP'):.3f} ({high.name})."
                )
        probes = [
            f"{modality} {c.accuracy:.3f}"
            for modality, results in self.classification.items()
            for c in results
            if c.method == "linear probe"
        ]
        if probes:
            sentences.append(f"A linear probe reads the label with accuracy {', '.join(probes)}.")
        if self.faults:
            sentences.append(f"{len(self.faults)} faults of the data were found: see below.")
        return " ".join(sentences) or "Nothing to score: no labels and no groups."

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-ready."""
        return {
            "verdict": self.verdict,
            "protocol": self.protocol,
            "space": {
                "name": self.provenance.space,
                "fingerprint": self.provenance.fingerprint,
                "dim": self.provenance.dim,
            },
            "counts": {m: int((self.items.modality == m).sum()) for m in self.items.modalities},
            "faults": self.faults,
            "retrieval": [
                {
                    "relevance": d.relevance,
                    "query": d.query,
                    "target": d.target,
                    "queries": len(d.result.queries),
                    "unanswerable": d.result.unanswerable,
                    **d.result.summary(),
                }
                for d in self.directions
            ],
            "classification": [
                {
                    "modality": modality,
                    "method": c.method,
                    "protocol": c.protocol,
                    "accuracy": c.accuracy,
                    "macro F1": c.macro_f1,
                    "labels": c.labels,
                    "confusion": c.confusion.tolist(),
                }
                for modality, results in self.classification.items()
                for c in results
            ],
            "geometry": self.geometry,
            "metrics": METRICS,
            "versions": {
                "python": platform.python_version(),
                **{p: version(p) for p in ("mmembed", "numpy", "scikit-learn", "pyarrow")},
            },
        }


def evaluate(
    embeddings: Path,
    report: Path | None = None,
    split: str | None = None,
    media: Path | None = None,
) -> Evaluation:
    """Score a Parquet dataset, and write report.html, report.json and report.md.

    Args:
        embeddings: the folder that ``mmembed embed`` wrote, or a Parquet file of it.
        report: folder for the report; None writes nothing.
        split: the split to score; without it ``test`` if there is one, else everything.
        media: folder of the media, if they are no longer where they were embedded from.

    Raises:
        StoreError: the dataset can't be read, or mixes spaces.
        ConfigError: nothing in the split, or no such media folder.
    """
    if media is not None and not Path(media).is_dir():
        raise ConfigError(f"--media {media}: no such folder")
    table = EmbeddingTable.open(embeddings)
    everything = read_items(table)
    items, train, protocol = choose_split(everything, split)
    faults = lint(items, everything)
    items = items.select(_usable(items))
    found = Evaluation(
        items,
        table.provenance,
        protocol,
        faults,
        list(_directions(items)),
        {m: _classify(items, train, m) for m in items.modalities},
        _geometry(items),
    )
    if report is not None:
        from mmembed.evaluation.report import write_report

        page = write_report(found, Path(report), media or table.source)
        found = replace(found, report=page)
    return found


def _usable(items: Items) -> np.ndarray:
    return np.isfinite(items.vectors).all(1) & (np.linalg.norm(items.vectors, axis=1) > 0.5)


def _directions(items: Items) -> list[Direction]:
    """Score every ordered pair of modalities (one modality within itself, if it is alone)."""
    modalities = items.modalities
    pairs = list(permutations(modalities, 2)) or [(m, m) for m in modalities]
    parts = {m: items.modality == m for m in modalities}
    found = []
    for relevance in RELEVANCES:
        keys = items.keys(relevance)
        for query, target in pairs:
            first, second = parts[query], parts[target]
            result = score(
                items.vectors[first],
                items.vectors[second],
                keys[first],
                keys[second],
                same=query == target,
            )
            if len(result.queries):
                found.append(Direction(relevance, query, target, result))
    return found


def _classify(items: Items, train: Items | None, modality: str) -> list[Classification]:
    """Classify one modality by its labels; rows without a label are left out."""

    def part(of: Items) -> Items:
        labelled = np.array([v is not None for v in of.label], bool)
        return of.select((of.modality == modality) & labelled & _usable(of))

    test = part(items)
    if len(test) == 0:
        return []
    groups = np.array(
        [p if g is None else g for g, p in zip(test.group, test.path, strict=True)], dtype=str
    )
    fit = None if train is None else part(train)
    given = None if fit is None or len(fit) == 0 else (fit.vectors, fit.label.astype(str))
    return classify(given, (test.vectors, test.label.astype(str)), groups)


def _geometry(items: Items) -> dict[str, float]:
    found: dict[str, float] = {}
    parts = {m: items.select(items.modality == m) for m in items.modalities}
    for modality, part in parts.items():
        found[f"effective rank {modality}"] = effective_rank(part.vectors)
        found[f"uniformity {modality}"] = uniformity(part.vectors)
    for first, second in permutations(parts, 2):
        if first < second:
            a, b = parts[first], parts[second]
            found[f"modality gap {first}, {second}"] = modality_gap(a.vectors, b.vectors)
            groups = {g: i for i, g in enumerate(b.group) if g is not None}
            matched = [(i, groups[g]) for i, g in enumerate(a.group) if g in groups]
            if matched:
                rows = np.array(matched)
                found[f"alignment {first}, {second}"] = alignment(
                    a.vectors[rows[:, 0]], b.vectors[rows[:, 1]]
                )
    return found
