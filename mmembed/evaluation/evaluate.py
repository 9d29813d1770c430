"""One dataset to one verdict: read, lint, score, compare, and report if asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.classification.classify import Classification, classify
from mmembed.evaluation.classification.labelled import Labelled
from mmembed.evaluation.classification.zero_shot import ClassVectors
from mmembed.evaluation.compare import Comparison, compare_directions, overlaps
from mmembed.evaluation.data_checks.answerable import Asked, lint_qrels, lint_relevance
from mmembed.evaluation.data_checks.data_fault import Fault
from mmembed.evaluation.data_checks.lint import lint
from mmembed.evaluation.directions import Direction, score_directions
from mmembed.evaluation.items import Items, Notion, Pool, choose_split, read_items
from mmembed.evaluation.qrels import Qrels, read_qrels
from mmembed.evaluation.required_scores import missed, read_bounds
from mmembed.evaluation.results import Evaluation
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

COLUMNS = ["segment_index", "start_s", "end_s", "label", "group", "split", "caption"]
MANY_ROWS = 2000


@dataclass(frozen=True)
class _Asked:
    """What is asked of a dataset, checked before anything is read."""

    split: str | None
    pool: Pool
    relevance: Notion | None
    qrels: Qrels | None


def evaluate(
    embeddings: str | Path,
    report: Path | None = None,
    against: str | Path | None = None,
    split: str | None = None,
    pool: Pool = "mean",
    relevance: Notion | None = None,
    qrels: Path | None = None,
    prompts: str | Path | None = None,
    media: str | Path | None = None,
    fail_under: str | None = None,
) -> Evaluation:
    """Score a Parquet dataset, compare it with another, and write a report.

    Args:
        embeddings: the folder or URL that ``mmembed embed`` wrote, or a Parquet file of it.
        report: folder for report.html, report.json, report.md and queries.parquet; None writes
            nothing.
        against: another dataset of the same media, made by any space, to compare with.
        split: the split to score, or ``all``; without it ``test`` if there is one, else all.
            Classifiers learn from the ``train`` split, or by folds where all is scored.
        pool: how the segments of a file are ranked: by their ``mean``, by their best pair
            (``max``), or each for itself (``moments``).
        relevance: what makes a target relevant: the same ``label``, ``group`` or file ``stem``;
            without it label and group, or the stem if there is neither.
        qrels: file of judgements, as TREC text, CSV or Parquet; then only they count, unless
            ``relevance`` is given too.
        prompts: dataset of labelled texts, embedded by the same space, for zero-shot
            classification; without it the labelled texts of the dataset.
        media: folder or URL of the media, for the pictures and sounds of the report; without it
            those inside the dataset's source, if that is a folder of this machine.
        fail_under: bounds such as ``image-audio/mAP=0.9``, apart by commas; what misses one is
            said, and the command exits with 1.

    Raises:
        StoreError: a dataset can't be read, mixes spaces, or has no usable vector, or the report
            can't be written.
        ConfigError: nothing in the split, no such media folder or qrels, or a bound for what was
            not scored.
    """
    _check_places(report, media)
    bounds = [] if fail_under is None else read_bounds(fail_under)
    judged = None if qrels is None else read_qrels(qrels)
    asked = _Asked(split, pool, relevance, judged)
    stored = StoredRows(embeddings, COLUMNS)
    everything = read_items(stored, pool)
    items, train, scored = choose_split(everything, split)
    with threadpool_limits(1, "blas"):  # more spin and wait for each other
        faults = lint(items, everything)
    items = _usable(items, stored)
    train = None if train is None else train.select(usable(train))
    directions, more = _directions(items, everything, asked)
    texts, of_texts = _texts(everything, stored.provenance, prompts)
    found = Evaluation(
        items,
        stored.provenance,
        scored,
        pool,
        [*faults, *of_texts, *more],
        directions,
        _classifications(items, train, texts),
        _geometry(items),
    )
    if against is not None:
        comparison, of_others = _compare(found, against, asked)
        found = replace(found, comparison=comparison, faults=[*found.faults, *of_others])
    found = replace(found, missed=missed(found, bounds))
    if report is not None:
        from mmembed.evaluation.report.media_files import MediaFiles
        from mmembed.evaluation.report.write import write_report

        files = MediaFiles(stored.provenance.source, media)
        found = replace(found, report=write_report(found, Path(report), files))
    return found


def _usable(items: Items, stored: StoredRows) -> Items:
    """Return the items with a usable vector, of which there has to be one."""
    kept = items.select(usable(items))
    if len(kept) == 0:
        raise StoreError(
            f"{stored.name}: every vector is missing, of another length, NaN or zero; embed the "
            "media again"
        )
    return kept


def _check_places(report: Path | None, media: str | Path | None) -> None:
    """Refuse a report or media that can't be where they are said to be, before all is read.

    Raises:
        ConfigError: no such media, or the report is a file or a URL.
    """
    if media is not None and not place(media).is_dir():
        raise ConfigError("no such folder", "media", shown(media))
    if report is None:
        return
    if is_url(report):
        raise ConfigError("is a URL; give a folder of this machine", "report", shown(report))
    if Path(report).exists() and not Path(report).is_dir():
        raise ConfigError("is a file; give a folder", "report", shown(report))


def _directions(
    items: Items, everything: Items, asked: _Asked
) -> tuple[list[Direction], list[Fault]]:
    """Score what was asked for; without a notion label and group, else the stem."""
    tries: list[tuple[Notion, ...]] = [("label", "group"), ("stem",)]
    if asked.relevance or asked.qrels is not None:
        tries = [(asked.relevance,) if asked.relevance else ()]
    known: list[Asked] = []
    for notions in tries:
        directions, answers = score_directions(items, notions, asked.qrels, asked.pool == "moments")
        known += answers
        if directions:
            break
    faults = [] if directions and not known else lint_relevance(known)
    if asked.qrels is not None:
        faults += lint_qrels(*asked.qrels.unknown(everything))
    return directions, faults


def _texts(
    everything: Items, provenance: Provenance, prompts: str | Path | None
) -> tuple[ClassVectors | None, list[Fault]]:
    """Return the labelled texts of the dataset, or of the one that ``prompts`` names."""
    source, texts = "text rows", everything
    faults: list[Fault] = []
    if prompts is not None:
        stored = StoredRows(prompts, COLUMNS)
        check_same_space(provenance, "the dataset", stored.provenance, f"the prompts {prompts}")
        source, texts = "prompts", read_items(stored)
    labelled = np.array([label is not None for label in texts.label], bool)
    texts = texts.select((texts.modality == "text") & labelled)
    if prompts is not None:
        of = f" of the prompts {place(prompts)}"
        faults = list(lint_vectors(texts, of, "zero-shot classification"))
    texts = texts.select(usable(texts))
    if not len(texts):
        if prompts is not None:
            raise ConfigError("no row of it is a text with a label", "prompts", prompts)
        return None, []
    groups = None if prompts is not None else texts.groups().astype(str)
    return ClassVectors(texts.label.astype(str), texts.vectors, groups, source), faults


def _classifications(
    items: Items, train: Items | None, texts: ClassVectors | None
) -> dict[str, list[Classification]]:
    """Classify each modality; a thread of BLAS is enough for few rows, and more are slower."""
    with threadpool_limits(1 if len(items) < MANY_ROWS else None, "blas"):
        return {m: _classify(items, train, m, texts) for m in items.modalities}


def _classify(
    items: Items, train: Items | None, modality: str, texts: ClassVectors | None
) -> list[Classification]:
    """Classify one modality by its labels; rows without a label are left out."""

    def part(of: Items) -> Labelled:
        labelled = np.array([label is not None for label in of.label], bool)
        chosen = of.select((of.modality == modality) & labelled)
        return Labelled(chosen.vectors, chosen.label.astype(str), chosen.groups().astype(str))

    test = part(items)
    if len(test) == 0:
        return []
    learnt = None if train is None else part(train)
    return classify(learnt, test, None if modality == "text" else texts)


def _geometry(items: Items) -> dict[str, float]:
    found: dict[str, float] = {}
    parts = {m: items.select(items.modality == m) for m in items.modalities}
    measures: dict[str, Callable[[np.ndarray], float]] = {
        "effective rank": effective_rank,
        "uniformity": uniformity,
    }
    for modality, part in parts.items():
        found |= {f"{name} {modality}": of(part.vectors) for name, of in measures.items()}
        hubs = hubness(part.vectors)
        found[f"hubness {modality}"] = hubs.skewness
        found[f"anti-hubs {modality}"] = hubs.anti_hubs
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


def _compare(
    found: Evaluation, against: str | Path, asked: _Asked
) -> tuple[Comparison, list[Fault]]:
    """Compare with another dataset, scored likewise."""
    stored = StoredRows(against, COLUMNS)
    everything = read_items(stored, asked.pool)
    others, _, _ = choose_split(everything, asked.split)
    faults = list(lint_vectors(others, f" of the other dataset, {stored.name}", "the comparison"))
    others = _usable(others, stored)
    directions, _ = _directions(others, everything, asked)
    changes, moved, unmatched = compare_directions(
        found.items, found.directions, others, directions
    )
    comparison = Comparison(
        shown(against),
        stored.provenance.space,
        stored.provenance.fingerprint,
        changes,
        moved,
        overlaps(found.items, others),
        unmatched,
    )
    return comparison, faults
