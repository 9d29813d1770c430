"""One dataset to one verdict: read, lint, score, compare, and report if asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.classification.classify import Classification, classify
from mmembed.evaluation.classification.labelled import Labelled
from mmembed.evaluation.classification.zero_shot import ClassVectors
from mmembed.evaluation.compare import Comparison, compare_directions, overlaps
from mmembed.evaluation.data_checks.answerable import QueryCount, lint_qrels, lint_relevance
from mmembed.evaluation.data_checks.data_fault import DataFault
from mmembed.evaluation.data_checks.lint import lint
from mmembed.evaluation.directions import Direction, score_directions
from mmembed.evaluation.items import Items, Notion, choose_split, read_items
from mmembed.evaluation.qrels import Qrels, read_qrels
from mmembed.evaluation.required_scores import missed_scores, read_required
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.settings import ReportOptions, ScoringOptions, grouped
from mmembed.evaluation.space_geometry import (
    alignment,
    effective_rank,
    hubness,
    modality_gap,
    uniformity,
)
from mmembed.evaluation.unusable_vectors import lint_vectors, usable
from mmembed.paths import is_url, place, shown
from mmembed.store.provenance import Provenance, check_same_space
from mmembed.store.table import StoredRows

SPANS = ["segment_index", "start_s", "end_s", "start_char", "end_char"]
COLUMNS = ["field", "cell", "region", *SPANS, "label", "group", "split", "text", "caption"]
MANY_ROWS = 2000


def evaluate(
    embeddings: str | Path,
    report: str | Path | None = None,
    against: str | Path | None = None,
    **options: Any,
) -> Evaluation:
    """Score a Parquet dataset, compare it with another, and write a report.

    Args:
        embeddings: the folder or URL that ``mmembed embed`` wrote, or a Parquet file of it.
        report: folder for report.html, report.json, report.md and queries.parquet; None writes
            nothing.
        against: another dataset of the same media, made by any space, to compare with.
        options: any field of :class:`~mmembed.evaluation.settings.ScoringOptions` and
            :class:`~mmembed.evaluation.settings.ReportOptions`, such as ``split="test"``, and
            ``prompts`` and ``fail_under`` of :func:`evaluate_as`.

    Raises:
        StoreError: a dataset can't be read, mixes spaces, or has no usable vector, or the report
            can't be written.
        ConfigError: nothing in the split, no such media folder or qrels, a bound for what was not
            scored, or no such option.
    """
    return evaluate_as(embeddings, against, **grouped({"report": report, **options}))


def evaluate_as(
    embeddings: str | Path,
    against: str | Path | None = None,
    *,
    scoring: ScoringOptions,
    output: ReportOptions,
    prompts: str | Path | None = None,
    fail_under: str | None = None,
) -> Evaluation:
    """Score a Parquet dataset, compare it with another, and write a report.

    Args:
        embeddings: the folder or URL that ``mmembed embed`` wrote, or a Parquet file of it.
        against: another dataset of the same media, made by any space, to compare with.
        scoring: the files that are scored, and what is relevant to them.
        output: the folder of the report, and the media that it shows.
        prompts: dataset of labelled texts, embedded by the same space, for zero-shot
            classification; without it the labelled texts of the dataset.
        fail_under: bounds such as ``image-audio/mAP=0.9``, apart by commas; what misses one is
            said, and the command exits with 1.
    """
    _check_places(output)
    required = [] if fail_under is None else read_required(fail_under)
    qrels = None if scoring.qrels is None else read_qrels(scoring.qrels)
    stored = StoredRows(embeddings, COLUMNS)
    everything = read_items(stored, scoring.pool)
    items, train, scored = choose_split(everything, scoring.split)
    with threadpool_limits(1, "blas"):  # more spin and wait for each other
        faults = lint(items, everything)
    items = _usable(items, stored)
    train = None if train is None else train.select(usable(train))
    directions, of_relevance = _directions(items, everything, scoring, qrels)
    texts, of_texts = _texts(everything, stored.provenance, prompts)
    evaluation = Evaluation(
        items,
        stored.provenance,
        scored,
        scoring.pool,
        [*faults, *of_texts, *of_relevance],
        directions,
        _classifications(items, train, texts),
        _geometry(items),
    )
    if against is not None:
        comparison, of_others = _compare(evaluation, against, scoring, qrels)
        faults = [*evaluation.faults, *of_others]
        evaluation = replace(evaluation, comparison=comparison, faults=faults)
    evaluation = replace(evaluation, missed=missed_scores(evaluation, required))
    if output.report is not None:
        from mmembed.evaluation.report.media_files import MediaFiles
        from mmembed.evaluation.report.write import write_report

        media = MediaFiles(stored.provenance.source, output.media)
        page = write_report(evaluation, Path(output.report), media)
        evaluation = replace(evaluation, report=page)
    return evaluation


def _usable(items: Items, stored: StoredRows) -> Items:
    """Return the items with a usable vector, of which there has to be one."""
    kept = items.select(usable(items))
    if len(kept) == 0:
        raise StoreError(
            f"{stored.name}: every vector is missing, of another length, NaN or zero; embed the "
            "media again"
        )
    return kept


def _check_places(output: ReportOptions) -> None:
    """Refuse a report or media that can't be where they are said to be, before all is read.

    Raises:
        ConfigError: no such media, or the report is a file or a URL.
    """
    media, report = output.media, output.report
    if media is not None and not place(media).is_dir():
        raise ConfigError("no such folder", "media", shown(media))
    if report is None:
        return
    if is_url(report):
        raise ConfigError("is a URL; give a folder of this machine", "report", shown(report))
    if Path(report).exists() and not Path(report).is_dir():
        raise ConfigError("is a file; give a folder", "report", shown(report))


def _directions(
    items: Items, everything: Items, scoring: ScoringOptions, qrels: Qrels | None
) -> tuple[list[Direction], list[DataFault]]:
    """Score all directions as asked for; without a notion label and group, else the stem."""
    tries: list[tuple[Notion, ...]] = [("label", "group"), ("stem",)]
    if scoring.relevance or qrels is not None:
        tries = [(scoring.relevance,) if scoring.relevance else ()]
    counts: list[QueryCount] = []
    for notions in tries:
        directions, some = score_directions(items, notions, qrels, scoring.pool == "moments")
        counts += some
        if directions:
            break
    faults = [] if directions and not counts else lint_relevance(counts)
    if qrels is not None:
        faults += lint_qrels(*qrels.unknown(everything))
    return directions, faults


def _texts(
    everything: Items, provenance: Provenance, prompts: str | Path | None
) -> tuple[ClassVectors | None, list[DataFault]]:
    """Return the labelled texts of the dataset, or of the one that ``prompts`` names."""
    source, texts = "text rows", everything
    faults: list[DataFault] = []
    if prompts is not None:
        stored = StoredRows(prompts, COLUMNS)
        check_same_space(provenance, "the dataset", stored.provenance, f"the prompts {prompts}")
        source, texts = "prompts", read_items(stored)
    labelled = np.array([label is not None for label in texts.label], bool)
    texts = texts.select((texts.kind == "text") & labelled)
    if prompts is not None:
        of = f" of the prompts {place(prompts)}"
        faults = list(lint_vectors(texts, of, "zero-shot classification"))
    texts = texts.select(usable(texts))
    if not len(texts):
        if prompts is not None:
            raise ConfigError("no row of it is a text with a label", "prompts", prompts)
        return None, []
    if len(texts.fields) > 1:
        source += f" of {', '.join(texts.fields)}"
    groups = None if prompts is not None else texts.groups().astype(str)
    return ClassVectors(texts.label.astype(str), texts.vectors, groups, source), faults


def _classifications(
    items: Items, train: Items | None, texts: ClassVectors | None
) -> dict[str, list[Classification]]:
    """Classify each field; a thread of BLAS is enough for few rows, and more are slower."""
    with threadpool_limits(1 if len(items) < MANY_ROWS else None, "blas"):
        return {
            field: _classify(items, train, field, None if kind == "text" else texts)
            for field, kind in items.fields.items()
        }


def _classify(
    items: Items, train: Items | None, field: str, texts: ClassVectors | None
) -> list[Classification]:
    """Classify one field by its labels; rows without a label are left out."""

    def part(of: Items) -> Labelled:
        labelled = np.array([label is not None for label in of.label], bool)
        chosen = of.select((of.field == field) & labelled)
        return Labelled(chosen.vectors, chosen.label.astype(str), chosen.groups().astype(str))

    test = part(items)
    if len(test) == 0:
        return []
    learnt = None if train is None else part(train)
    return classify(learnt, test, texts)


def _geometry(items: Items) -> dict[str, float]:
    measured: dict[str, float] = {}
    parts = {field: items.select(items.field == field) for field in items.fields}
    measures: dict[str, Callable[[np.ndarray], float]] = {
        "effective rank": effective_rank,
        "uniformity": uniformity,
    }
    for field, part in parts.items():
        measured |= {f"{name} {field}": of(part.vectors) for name, of in measures.items()}
        hubs = hubness(part.vectors)
        measured[f"hubness {field}"] = hubs.skewness
        measured[f"anti-hubs {field}"] = hubs.anti_hubs
    for first, second in combinations(parts, 2):
        a, b = parts[first], parts[second]
        measured[f"modality gap {first}, {second}"] = modality_gap(a.vectors, b.vectors)
        groups = {g: i for i, g in enumerate(b.group) if g is not None}
        matched = [(i, groups[g]) for i, g in enumerate(a.group) if g in groups]
        if matched:
            rows = np.array(matched)
            measured[f"alignment {first}, {second}"] = alignment(
                a.vectors[rows[:, 0]], b.vectors[rows[:, 1]]
            )
    return measured


def _compare(
    evaluation: Evaluation, against: str | Path, scoring: ScoringOptions, qrels: Qrels | None
) -> tuple[Comparison, list[DataFault]]:
    """Compare with another dataset, scored likewise."""
    stored = StoredRows(against, COLUMNS)
    everything = read_items(stored, scoring.pool)
    others, _, _ = choose_split(everything, scoring.split)
    faults = list(lint_vectors(others, f" of the other dataset, {stored.name}", "the comparison"))
    others = _usable(others, stored)
    directions, _ = _directions(others, everything, scoring, qrels)
    changes, moved, unmatched = compare_directions(
        evaluation.items, evaluation.directions, others, directions
    )
    comparison = Comparison(
        shown(against),
        stored.provenance.space,
        stored.provenance.fingerprint,
        changes,
        moved,
        overlaps(evaluation.items, others),
        unmatched,
    )
    return comparison, faults
