"""Synthetic items for the lint: clean ones of many kinds, and faults to plant in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from mmembed.evaluation.data_checks.answerable import QueryCount
from mmembed.evaluation.items import NOTIONS, Items


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def make_items(vectors: np.ndarray, **columns: Any) -> Items:
    """Make items of vectors; a column is a list, or one value for all; images where not told.

    The kind of a field is its name where it is not told.
    """
    count = len(vectors)

    def column(name: str, default: object) -> np.ndarray:
        given = columns.pop(name, default)
        values = np.empty(count, dtype=object)
        values[:] = given
        return values

    nowhere = np.full(count, np.nan)
    field = column("field", "image")
    items = Items(
        vectors=vectors.astype(np.float32),
        segments=None,
        path=column("path", [f"{i:06d}.bin" for i in range(count)]),
        cell=column("cell", None),
        region=column("region", None),
        field=field,
        kind=column("kind", field),
        label=column("label", None),
        group=column("group", None),
        split=column("split", None),
        text=column("text", None),
        start=columns.pop("start", nowhere),
        end=columns.pop("end", nowhere),
        start_char=columns.pop("start_char", nowhere),
        end_char=columns.pop("end_char", nowhere),
    )
    assert not columns
    return items


def changed(items: Items, field: str, rows: Any, value: object) -> Items:
    """Return items with some values of a column replaced."""
    values = getattr(items, field).copy()
    values[rows] = value
    return replace(items, **{field: values})


@dataclass(frozen=True)
class Shape:
    """A kind of clean dataset.

    Attributes:
        modalities: present.
        things: groups, each with one item a modality.
        dim: of the vectors.
        classes: labels; the vectors are near their class's centre.
        cosine: of two vectors of one class; 0 for vectors at random.
        splits: shares of the splits; empty for none.
        labelled: whether there are labels.
        grouped: whether there are groups.
    """

    modalities: tuple[str, ...] = ("image", "audio")
    things: int = 60
    dim: int = 64
    classes: int = 5
    cosine: float = 0.0
    splits: tuple[float, ...] = (0.7, 0.3)
    labelled: bool = True
    grouped: bool = True

    def make(self, seed: int) -> Items:
        rng = np.random.default_rng(seed)
        kind = np.arange(self.things) % self.classes
        edges = np.cumsum(self.splits[:-1]) * self.things
        names = np.array(["train", "test", "val"], object)
        split = names[np.searchsorted(edges, np.arange(self.things), side="right")]
        columns: dict[str, list[Any]] = {
            name: [] for name in ("path", "field", "label", "group", "split", "text")
        }
        parts = []
        centres = unit(rng.normal(size=(self.classes, self.dim)))
        for modality in self.modalities:
            gap = unit(rng.normal(size=self.dim))
            noise = unit(rng.normal(size=(self.things, self.dim)))
            if self.cosine:
                noise = unit(centres + 0.5 * gap)[kind] + np.sqrt(1 / self.cosine - 1) * noise
            parts.append(unit(noise))
            for i in range(self.things):
                columns["path"].append(f"{modality}/{i:06d}")
                columns["field"].append(modality)
                columns["label"].append(f"class {kind[i]}" if self.labelled else None)
                columns["group"].append(f"thing {i}" if self.grouped else None)
                columns["split"].append(split[i] if self.splits else None)
                columns["text"].append(f"The {i}th thing" if modality == "text" else None)
        return make_items(np.concatenate(parts), **columns)


THREE = ("image", "audio", "video")
TEXTS = ("image", "text")
SHAPES = {
    "random": Shape(),
    "random, wide": Shape(dim=512, things=120),
    "random in a few dimensions": Shape(dim=8, things=200),
    "clustered": Shape(cosine=0.9),
    "tightly clustered": Shape(cosine=0.999, things=150),
    "tightly clustered in a few dimensions": Shape(cosine=0.999, dim=8, things=150),
    "tighter still": Shape(cosine=0.9999, things=150),
    "few": Shape(things=12, classes=2),
    "few, clustered": Shape(things=20, classes=3, cosine=0.99),
    "many": Shape(things=3000, dim=32, classes=10),
    "many, clustered": Shape(things=3000, dim=32, classes=10, cosine=0.99),
    "one modality": Shape(modalities=("image",), things=100),
    "one modality, clustered": Shape(modalities=("audio",), things=100, cosine=0.999),
    "three modalities": Shape(modalities=THREE),
    "three modalities, clustered": Shape(modalities=THREE, cosine=0.99),
    "texts": Shape(modalities=TEXTS),
    "texts, clustered": Shape(modalities=TEXTS, cosine=0.95),
    "texts alone": Shape(modalities=("text",), things=100),
    "no splits": Shape(splits=()),
    "three splits": Shape(splits=(0.6, 0.2, 0.2), things=100),
    "no labels": Shape(labelled=False),
    "no groups": Shape(grouped=False, cosine=0.9),
    "two classes": Shape(classes=2, cosine=0.999, things=80),
    "one of a class in a split": Shape(classes=50, things=100, splits=(0.5, 0.5), cosine=0.999),
    "ten classes, collapsed to points": Shape(classes=10, cosine=0.99999, things=300),
}


def asked_by_key(items: Items) -> list[QueryCount]:
    """Count what has an answer as retrieval would: in every direction whose sides have keys."""
    planted = []
    pairs = list(permutations(items.fields, 2)) or [(m, m) for m in items.fields]
    for notion in NOTIONS:
        keys = items.keys(notion)
        for query, target in pairs:
            asked, given = (np.flatnonzero(items.field == m) for m in (query, target))
            asked = asked[keys[asked] >= 0]
            counts = np.bincount(keys[given][keys[given] >= 0], minlength=keys.max() + 1)
            if not len(asked) or not counts.sum():
                continue
            missing = asked[counts[keys[asked]] <= (query == target)]
            paths = tuple(items.path[missing[:5]])
            planted.append(
                QueryCount(f"{query} → {target}", notion, len(asked), len(missing), paths)
            )
    return planted
