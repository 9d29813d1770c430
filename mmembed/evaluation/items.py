"""The rows of a table as items to score: one a file, with labels, groups and split.

This module knows nothing of metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.retrieval import Bags, Ranked
from mmembed.modality import MODALITIES
from mmembed.store.table import EmbeddingTable

Relevance = Literal["label", "group"]
Pool = Literal["mean", "max"]
RELEVANCES: tuple[Relevance, ...] = ("label", "group")


@dataclass(frozen=True)
class Items:
    """Files with one unit vector each.

    Attributes:
        vectors: float32 ``(items, dim)``, the mean of a file's segments scaled to unit length.
        segments: of each file, float32 ``(segments, dim)``; None where ``vectors`` are ranked.
        path: of each file, relative to the source.
        modality: of each file.
        label: text or None, of each file.
        group: text or None, of each file.
        split: text or None, of each file.
    """

    vectors: np.ndarray
    segments: np.ndarray | None
    path: np.ndarray
    modality: np.ndarray
    label: np.ndarray
    group: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def modalities(self) -> list[str]:
        """The modalities present, in their usual order."""
        order = {name: i for i, name in enumerate(MODALITIES)}
        return sorted(set(self.modality), key=lambda m: (order.get(m, len(order)), m))

    @property
    def ranked(self) -> Ranked:
        """What retrieval compares: the vectors, or each file's segments."""
        if self.segments is None or len(self) == 0:
            return self.vectors
        lengths = np.array([len(rows) for rows in self.segments])
        return Bags(np.concatenate(list(self.segments)), np.append(0, lengths.cumsum()[:-1]))

    def select(self, mask: np.ndarray) -> Items:
        """Return the items where ``mask`` holds."""
        fields = (self.path, self.modality, self.label, self.group, self.split)
        segments = None if self.segments is None else self.segments[mask]
        return Items(self.vectors[mask], segments, *(f[mask] for f in fields))

    def keys(self, relevance: Relevance) -> np.ndarray:
        """Return integer codes ``(items,)`` of the labels or groups, -1 where unknown."""
        values = self.label if relevance == "label" else self.group
        known = np.array([v is not None for v in values], bool)
        codes = np.full(len(values), -1)
        if known.any():
            codes[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
        return codes


def read_items(table: EmbeddingTable, pool: Pool = "mean") -> Items:
    """Pool the segments of each file to an item.

    Args:
        table: segments with vectors of unit length.
        pool: ``mean`` ranks files by the mean of their vectors, ``max`` by their best pair of
            segments.

    Raises:
        StoreError: the table has no rows.
    """
    if len(table) == 0:
        raise StoreError("the dataset has no rows: nothing was embedded, or every file failed")
    path, modality = table.column("path"), table.column("modality")
    names = np.array([f"{m}\0{p}" for m, p in zip(modality, path, strict=True)], dtype=object)
    _, first, code = np.unique(names.astype(str), return_index=True, return_inverse=True)
    rows = _unit(table.vectors)
    sums = np.zeros((len(first), rows.shape[1]), np.float64)
    np.add.at(sums, code, rows)
    vectors = _unit(sums).astype(np.float32)

    def column(name: str) -> np.ndarray:
        if name not in table.columns:
            return np.full(len(first), None, dtype=object)
        values = table.rows[name].to_pylist()
        return np.array([None if v in (None, "") else str(v) for v in values], object)[first]

    segments = None
    if pool == "max" and len(first) < len(code):
        segments = np.empty(len(first), dtype=object)
        rows = rows[np.argsort(code, kind="stable")]
        for i, part in enumerate(np.split(rows, np.cumsum(np.bincount(code))[:-1])):
            segments[i] = part
    carried = (column(name) for name in ("label", "group", "split"))
    return Items(vectors, segments, path[first], modality[first], *carried)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to unit length; zero rows stay zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def choose_split(items: Items, split: str | None) -> tuple[Items, Items | None, str]:
    """Return the items to score, those to train classifiers on (or None), and a line saying so.

    Args:
        items: all of them.
        split: the split to score; ``all`` takes every file; None takes ``test`` if there is
            one, else every file.

    Raises:
        ConfigError: no item is in ``split``.
    """
    present = sorted({s for s in items.split if s is not None})
    if split == "all" or (split is None and "test" not in present):
        return items, None, f"all {len(items):,} files"
    wanted = split or "test"
    mask = items.split == wanted
    if not mask.any():
        raise ConfigError(
            f"--split {wanted}: no row is in it; the dataset has "
            f"{', '.join(present) if present else 'no splits'}"
        )
    training = items.split == "train"
    train = items.select(training) if training.any() and wanted != "train" else None
    return items.select(mask), train, f"split {wanted}: {int(mask.sum()):,} of {len(items):,} files"
