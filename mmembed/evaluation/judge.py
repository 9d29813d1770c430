"""One dataset to one verdict: read, lint, score, and report if asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

import numpy as np

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.classification import Classification, classify
from mmembed.evaluation.findings import Direction, Evaluation
from mmembed.evaluation.geometry import alignment, effective_rank, modality_gap, uniformity
from mmembed.evaluation.items import RELEVANCES, Items, Pool, choose_split, read_items
from mmembed.evaluation.lint import lint, usable
from mmembed.evaluation.retrieval import score
from mmembed.storage import place
from mmembed.store.table import EmbeddingTable


def evaluate(
    embeddings: str | Path,
    report: Path | None = None,
    split: str | None = None,
    pool: Pool = "mean",
    media: str | Path | None = None,
) -> Evaluation:
    """Score a Parquet dataset, and write report.html, report.json and report.md.

    Args:
        embeddings: the folder or URL that ``mmembed embed`` wrote, or a Parquet file of it.
        report: folder for the report; None writes nothing.
        split: the split to score, or ``all``; without it ``test`` if there is one, else all.
            Classifiers learn from the ``train`` split, or by folds where all is scored.
        pool: how the segments of a file are ranked: by their ``mean``, or by their best pair.
        media: folder of the media, if they are no longer where they were embedded from.

    Raises:
        StoreError: the dataset can't be read, mixes spaces, or has no usable vector.
        ConfigError: nothing in the split, or no such media folder.
    """
    if media is not None and not place(media).is_dir():
        raise ConfigError(f"--media {media}: no such folder")
    if report is not None and Path(report).exists() and not Path(report).is_dir():
        raise ConfigError(f"--report {report}: is a file; give a folder")
    table = EmbeddingTable.open(embeddings)
    everything = read_items(table, pool)
    items, train, scored = choose_split(everything, split)
    faults = lint(items, everything)
    items = items.select(usable(items))
    if len(items) == 0:
        raise StoreError(f"{embeddings}: every vector is NaN or zero; embed the media again")
    found = Evaluation(
        items,
        table.provenance,
        scored,
        pool,
        faults,
        _directions(items),
        {m: _classify(items, train, m) for m in items.modalities},
        _geometry(items),
    )
    if report is not None:
        from mmembed.evaluation.report import write_report

        page = write_report(found, Path(report), media or table.source)
        found = replace(found, report=page)
    return found


def _directions(items: Items) -> list[Direction]:
    """Score every ordered pair of modalities (one modality within itself, if it is alone)."""
    pairs = list(permutations(items.modalities, 2)) or [(m, m) for m in items.modalities]
    masks = {m: items.modality == m for m in items.modalities}
    ranked = {m: items.select(mask).ranked for m, mask in masks.items()}
    found = []
    for relevance in RELEVANCES:
        keys = items.keys(relevance)
        for query, target in pairs:
            result = score(
                ranked[query],
                ranked[target],
                keys[masks[query]],
                keys[masks[target]],
                same=query == target,
            )
            if len(result.queries):
                found.append(Direction(relevance, query, target, result))
    return found


def _classify(items: Items, train: Items | None, modality: str) -> list[Classification]:
    """Classify one modality by its labels; rows without a label are left out."""

    def part(of: Items) -> Items:
        labelled = np.array([v is not None for v in of.label], bool)
        return of.select((of.modality == modality) & labelled & usable(of))

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
    for first, second in combinations(parts, 2):
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
