"""Faults of the data that would make scores misleading; looked for before anything is scored."""

from __future__ import annotations

import numpy as np

from mmembed.evaluation.geometry import effective_rank
from mmembed.evaluation.items import RELEVANCES, Items

COLLAPSED = 1.5  # effective rank below which a modality's vectors all point one way


def usable(items: Items) -> np.ndarray:
    """Return which items ``(items,)`` have a finite vector of unit length."""
    lengths = np.linalg.norm(np.nan_to_num(items.vectors, posinf=0, neginf=0), axis=1)
    return np.isfinite(items.vectors).all(1) & (lengths > 0.5)


def lint(items: Items, everything: Items) -> list[str]:
    """Return a sentence for each fault found.

    Args:
        items: what is to be scored.
        everything: all items of the dataset, other splits included.
    """
    return [*_vectors(items), *_keys(items), *_leaks(everything)]


def _vectors(items: Items) -> list[str]:
    found = []
    fine = usable(items)
    broken = ~np.isfinite(items.vectors).all(1)
    for count, what in ((broken.sum(), "NaN or infinite"), ((~fine & ~broken).sum(), "zero")):
        if count:
            found.append(f"{_files(count)} with {what} vectors, left out of the scores")
    for modality in items.modalities:
        vectors = items.vectors[(items.modality == modality) & fine]
        if len(vectors) < 3:
            continue
        rank = effective_rank(vectors)
        if rank < COLLAPSED:
            found.append(f"the {modality} vectors have collapsed: effective rank {rank:.2f}")
        repeated = len(vectors) - len(np.unique(vectors, axis=0))
        if repeated:
            found.append(f"{_files(repeated)} of {len(vectors):,} {modality} repeat another vector")
    return found


def _keys(items: Items) -> list[str]:
    known = {r: items.keys(r) >= 0 for r in RELEVANCES}
    if not any(k.any() for k in known.values()):
        return ["no labels and no groups: nothing says which files belong together"]
    return [
        f"{_files((~k).sum())} without a {relevance}"
        for relevance, k in known.items()
        if k.any() and not k.all()
    ]


def _leaks(everything: Items) -> list[str]:
    places = zip(everything.group, everything.split, strict=True)
    pairs = {(g, s) for g, s in places if g is not None and s is not None}
    cut = len(pairs) - len({g for g, _ in pairs})
    return [f"{cut:,} groups are in more than one split: the scores leak"] if cut else []


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
