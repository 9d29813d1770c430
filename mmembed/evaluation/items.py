"""The rows of a table as items to score: one a file, with labels, groups and split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmembed.errors import ConfigError, StoreError
from mmembed.store.table import EmbeddingTable

Relevance = Literal["label", "group"]
RELEVANCES: tuple[Relevance, ...] = ("label", "group")


@dataclass(frozen=True)
class Items:
    """Files with one unit vector each.

    Attributes:
        vectors: float32 ``(items, dim)``.
        path: of each file, relative to the source.
        modality: of each file.
        label: text or None, of each file.
        group: text or None, of each file.
        split: text or None, of each file.
    """

    vectors: np.ndarray
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
        order = {"image": 0, "audio": 1, "video": 2, "text": 3}
        return sorted(set(self.modality), key=lambda m: order.get(m, 9))

    def select(self, mask: np.ndarray) -> Items:
        """Return the items where ``mask`` holds."""
        fields = (self.path, self.modality, self.label, self.group, self.split)
        return Items(self.vectors[mask], *(f[mask] for f in fields))

    def keys(self, relevance: Relevance) -> np.ndarray:
        """Return integer codes ``(items,)`` of the labels or groups, -1 where unknown."""
        values = self.label if relevance == "label" else self.group
        known = np.array([v is not None for v in values], bool)
        codes = np.full(len(values), -1)
        if known.any():
            codes[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
        return codes


def read_items(table: EmbeddingTable) -> Items:
    """Pool the segments of each file by the mean of their vectors, scaled to unit length.

    Raises:
        StoreError: the table has no rows.
    """
    if len(table) == 0:
        raise StoreError("the dataset has no rows: nothing was embedded, or every file failed")
    path, modality = table.column("path"), table.column("modality")
    names = np.array([f"{m}\0{p}" for m, p in zip(modality, path, strict=True)], dtype=object)
    _, first, code = np.unique(names.astype(str), return_index=True, return_inverse=True)
    sums = np.zeros((len(first), table.vectors.shape[1]), np.float64)
    np.add.at(sums, code, table.vectors)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    vectors = (sums / np.maximum(norms, 1e-12)).astype(np.float32)

    def column(name: str) -> np.ndarray:
        if name not in table.columns:
            return np.full(len(first), None, dtype=object)
        return np.array([None if v is None else str(v) for v in table.column(name)], object)[first]

    return Items(
        vectors, path[first], modality[first], column("label"), column("group"), column("split")
    )


def choose_split(items: Items, split: str | None) -> tuple[Items, Items | None, str]:
    """Return the items to score, those to train classifiers on (or None), and a line saying so.

    Args:
        items: all of them.
        split: the split to score; None takes ``test`` if there is one, else everything.

    Raises:
        ConfigError: no item is in ``split``.
    """
    present = sorted({s for s in items.split if s is not None})
    if split is None and "test" not in present:
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
