"""Faults of the data that would make scores misleading; looked for before anything is scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mmembed.evaluation.data_checks.captions import captions_of, first_of_each, worded
from mmembed.evaluation.data_checks.data_fault import EXAMPLES, DataFault, FaultKind, counted
from mmembed.evaluation.data_checks.duplicates import copies_across, repeats, row_codes_of
from mmembed.evaluation.items import Items, Notion
from mmembed.evaluation.space_geometry import effective_rank, even_sample
from mmembed.evaluation.unusable_vectors import in_words, lint_vectors, usable

FLAT = 1.5  # effective rank below which vectors have one direction and nothing else
CONE = 0.99  # mean cosine above which vectors hardly differ, whatever their rank
SAMPLE = 2000
REPEATED = ("text", "category")  # kinds whose items are the same in many samples
KEYS: tuple[tuple[FaultKind, Notion], ...] = (("unlabelled", "label"), ("ungrouped", "group"))


def lint(items: Items, everything: Items) -> list[DataFault]:
    """Return the faults of vectors, queries and keys of what is scored, and of all splits.

    Args:
        items: what is to be scored.
        everything: all items of the dataset, other splits included.
    """
    texts = [field for field, kind in items.fields.items() if kind == "text"]
    captions = {field: captions_of(items, field) for field in texts}
    return [
        *lint_vectors(items),
        *_outside(items, everything),
        *_vectors(items, captions),
        *(fault for field in texts for fault in _queries(items, field, captions[field])),
        *lint_spellings(everything),
        *_keys(items),
        *_splits(everything),
    ]


def lint_spellings(everything: Items, of: str = "") -> Iterator[DataFault]:
    """Yield faults in how labels, groups and splits are written.

    Args:
        everything: all items of a dataset, as they were read.
        of: which dataset it is, if not the one that is scored.
    """
    for spellings in everything.spellings.values():
        for fault in spellings.faults():
            subject = (
                counted(fault.count, fault.of) if fault.of else in_words(everything, fault.count)
            )
            examples = _paths(everything, np.array(fault.first, int))
            yield DataFault(fault.kind, fault.count, f"{subject}{of} {fault.message}", examples)


def _outside(items: Items, everything: Items) -> Iterator[DataFault]:
    """Yield faults of the vectors of splits that are not scored."""
    if len(everything) > len(items):
        scored = set(zip(items.field, items.names(), strict=True))
        named = zip(everything.field, everything.names(), strict=True)
        others = everything.select(np.array([each not in scored for each in named], bool))
        yield from lint_vectors(others, " of other splits", "the classifiers and comparisons")


def _vectors(items: Items, captions: Mapping[str, np.ndarray | None]) -> Iterator[DataFault]:
    fine = usable(items)
    for field in items.fields:
        rows = np.flatnonzero((items.field == field) & fine)
        collapse = _collapse(items, rows)
        if collapse:
            message = f"the {field} vectors have collapsed: {collapse}"
            yield DataFault("collapsed", len(rows), message, _paths(items, rows))
            continue
        said = captions.get(field)
        if said is not None:
            rows = rows[(first_of_each(said, rows) == rows) & worded(said, rows)]
        again, first = (rows[places] for places in repeats(row_codes_of(items.vectors, rows)))
        other_file = items.path[again] != items.path[first]
        again, first = again[other_file], first[other_file]
        if len(again):
            message = (
                f"{in_words(items, len(again), field)} of {len(rows):,} with the very vector of "
                f"another{_differing(items, again, first)}: remove what is there twice, or each "
                f"counts again and ties with its copy"
            )
            yield DataFault("repeated", len(again), message, _pairs(items, first, again))


def _collapse(items: Items, rows: np.ndarray) -> str:
    """Return the way that usable vectors of a field have collapsed; empty if they have not.

    Vectors of one narrow cone need no low rank, and two classes need but one direction, with
    its two ends; a gap between fields is none, since each is looked at alone.
    """
    if len(rows) < 3:
        return ""
    chosen = rows[even_sample(len(rows), SAMPLE)]
    vectors = items.vectors[chosen].astype(np.float64)
    pairs = len(chosen) * (len(chosen) - 1)
    cosine = (np.square(vectors.sum(0)).sum() - np.square(vectors).sum()) / pairs
    rank = effective_rank(vectors)
    two_classes = len({v for v in items.label[chosen] if v is not None}) == 2
    if cosine <= CONE and (rank >= FLAT or two_classes):
        return ""
    return (
        f"effective rank {rank:.2f}, mean cosine {cosine:.4f}; they say little of the media, so "
        f"check that trained weights were loaded, or train at a lower rate"
    )


def _queries(items: Items, field: str, captions: np.ndarray | None) -> Iterator[DataFault]:
    if captions is None:
        return
    rows = np.flatnonzero(items.field == field)
    empty = ~worded(captions, rows)
    if empty.any():
        message = (
            f"{counted(int(empty.sum()), f'{field} query')} without a word (empty, blank, "
            f"punctuation, or a placeholder such as nan), which nothing can answer: write the "
            f"caption, or remove the row"
        )
        yield DataFault("empty-query", int(empty.sum()), message, _paths(items, rows[empty]))
    asked = rows[~empty]
    first = first_of_each(captions, asked)
    again, first = asked[first != asked], first[first != asked]
    if len(again):
        message = (
            f"{len(again):,} of {counted(len(asked), f'{field} query')} with the words of another"
            f"{_differing(items, again, first)}: merge them into one, or each counts again"
        )
        yield DataFault("duplicate-query", len(again), message, _pairs(items, first, again))


def _keys(items: Items) -> Iterator[DataFault]:
    for kind, notion in KEYS:
        unknown = items.keys(notion) < 0
        partly = np.zeros(len(items), bool)
        for field in items.fields:
            part = items.field == field
            if not unknown[part].all():
                partly |= part & unknown
        rows = np.flatnonzero(partly)
        if len(rows):
            message = (
                f"{in_words(items, len(rows))} without a {notion}, relevant to nothing by "
                f"{notion}: give {'it' if len(rows) == 1 else 'them'} one, or leave the {notion} "
                f"out"
            )
            yield DataFault(kind, len(rows), message, _paths(items, rows))


def _splits(everything: Items) -> Iterator[DataFault]:
    home: dict[str, str] = {}
    cut: dict[str, int] = {}
    for row, (group, split) in enumerate(zip(everything.group, everything.split, strict=True)):
        if group is not None and split is not None and home.setdefault(group, split) != split:
            cut.setdefault(group, row)
    if cut:
        message = (
            f"{counted(len(cut), 'group')} in more than one split (such as {next(iter(cut))}), so "
            f"the scores leak: split by group"
        )
        yield DataFault(
            "split-leak", len(cut), message, _paths(everything, np.array([*cut.values()]))
        )
    names = sorted({split for split in everything.split if split is not None})
    fine = usable(everything)
    for field, kind in everything.fields.items() if len(names) > 1 else ():
        if kind in REPEATED and len(everything.fields) > 1:
            continue  # captions and ids repeat by nature; what they describe is compared
        rows = np.flatnonzero((everything.field == field) & fine)
        if _collapse(everything, rows):
            continue
        parts = [rows[everything.split[rows] == name] for name in names]
        copies = copies_across(everything.vectors, parts)
        if len(copies.rows):
            message = (
                f"{in_words(everything, len(copies.rows), field)} with nearly the vector of one "
                f"in another split, so the scores leak: keep copies in one split, or remove them"
            )
            if copies.compared < copies.rows_to_compare:
                message += (
                    f" (sought for {copies.compared:,} of {copies.rows_to_compare:,}, evenly)"
                )
            examples = _pairs(everything, copies.partners, copies.rows)
            yield DataFault("near-duplicate", len(copies.rows), message, examples)


def _differing(items: Items, again: np.ndarray, first: np.ndarray) -> str:
    """Return words on the repeats that have another label or group than what they repeat."""
    other = np.zeros(len(again), bool)
    for _, notion in KEYS:
        keys = items.keys(notion)
        other |= keys[again] != keys[first]
    return f", {other.sum():,} with another label or group" if other.any() else ""


def _paths(items: Items, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(str(path) for path in items.path[rows[:EXAMPLES]])


def _pairs(items: Items, first: np.ndarray, again: np.ndarray) -> tuple[str, ...]:
    return _paths(items, np.stack([first, again], 1).reshape(-1)[: EXAMPLES // 2 * 2])
