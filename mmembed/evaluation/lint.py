"""Faults of the data that would make scores misleading; looked for before anything is scored."""

from __future__ import annotations

import numpy as np

from mmembed.evaluation.geometry import effective_rank
from mmembed.evaluation.items import RELEVANCES, Items


def lint(items: Items, everything: Items) -> list[str]:
    """Return a sentence for each fault found.

    Args:
        items: what is to be scored.
        everything: all items of the dataset, other splits included.
    """
    found = []
    bad = ~np.isfinite(items.vectors).all(1)
    zero = np.linalg.norm(np.nan_to_num(items.vectors), axis=1) < 0.5
    if bad.any():
        found.append(f"{int(bad.sum())} vectors have NaN or infinite values")
    if (zero & ~bad).any():
        found.append(f"{int((zero & ~bad).sum())} vectors are zero")
    for modality in items.modalities:
        vectors = items.vectors[items.modality == modality]
        if len(vectors) > 2 and np.isfinite(vectors).all():
            rank = effective_rank(vectors)
            if rank < 1.5:
                found.append(f"the {modality} vectors have collapsed: effective rank {rank:.2f}")
            unique = len(np.unique(vectors, axis=0))
            if unique < len(vectors):
                found.append(
                    f"{len(vectors) - unique} of {len(vectors)} {modality} vectors repeat another"
                )
    for relevance in RELEVANCES:
        keys = items.keys(relevance)
        if (keys >= 0).any() and (keys < 0).any():
            found.append(f"{int((keys < 0).sum())} files have no {relevance}")
    known = np.array([g is not None and s is not None for g, s in _places(everything)], bool)
    pairs = {(str(g), str(s)) for (g, s), k in zip(_places(everything), known, strict=True) if k}
    groups = [g for g, _ in pairs]
    cut = len(groups) - len(set(groups))
    if cut:
        found.append(f"{cut} groups are in more than one split: the scores leak")
    return found


def _places(items: Items) -> list[tuple[str | None, str | None]]:
    return list(zip(items.group, items.split, strict=True))
