"""The rows of a table as items to score: files or moments, with labels, groups and split.

This module knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.ranking.scoring import Bags, Ranked
from mmembed.evaluation.vectors import members, unit
from mmembed.modality import MODALITIES
from mmembed.store.table import EmbeddingTable, StoredRows

Notion = Literal["label", "group", "stem"]
Pool = Literal["mean", "max", "moments"]
NOTIONS: tuple[Notion, ...] = ("label", "group", "stem")
BLOCK_ROWS = 1 << 14


@dataclass(frozen=True)
class Items:
    """Files, or moments of them, with one unit vector each; those of a modality stand together.

    Attributes:
        vectors: float32 ``(items, dim)``, the mean of a file's segments scaled to unit length.
        segments: the unit vectors of each item, if its best pair of them is what is ranked; None
            where ``vectors`` are.
        path: of each file, relative to the source; ascending within a modality.
        modality: of each file.
        label: text or None, of each.
        group: text or None, of each.
        split: text or None, of each.
        caption: text or None, of each.
        start: seconds, of each moment; NaN for a whole file.
        end: likewise.
    """

    vectors: np.ndarray
    segments: Bags | None
    path: np.ndarray
    modality: np.ndarray
    label: np.ndarray
    group: np.ndarray
    split: np.ndarray
    caption: np.ndarray
    start: np.ndarray
    end: np.ndarray

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
        return self.vectors if self.segments is None else self.segments

    def select(self, which: np.ndarray) -> Items:
        """Return the items where ``which`` holds, or those of these indices in their order.

        Items that stand together are not copied.
        """
        index = np.flatnonzero(which) if which.dtype == bool else which
        together = len(index) > 0 and (np.diff(index) == 1).all()
        part = slice(index[0], index[-1] + 1) if together else index
        fields = (self.path, self.modality, self.label, self.group, self.split, self.caption)
        found = (each[part] for each in (*fields, self.start, self.end))
        segments = None if self.segments is None else self.segments.select(index)
        return Items(self.vectors[part], segments, *found)

    def names(self) -> np.ndarray:
        """Return what items are called in words ``(items,)``: path, and start of a moment."""
        moments = zip(self.path, self.start, strict=True)
        names = [p if np.isnan(start) else f"{p} from {start:.10g} s" for p, start in moments]
        return np.array(names, dtype=object)

    def keys(self, notion: Notion) -> np.ndarray:
        """Return integer codes ``(items,)`` of the labels, groups or file stems, -1 if unknown."""
        if notion == "stem":
            found = pa.array([PurePosixPath(path).stem for path in self.path], pa.string())
        else:
            found = pa.array(self.label if notion == "label" else self.group, pa.string())
        return _codes(found)

    def groups(self) -> np.ndarray:
        """Return text ``(items,)``, the same for what is one thing: its group, else its file."""
        pairs = zip(self.group, self.path, strict=True)
        return np.array([path if group is None else group for group, path in pairs], dtype=object)

    def own(self, targets: Items) -> np.ndarray:
        """Return, of each item, the range ``(items, 2)`` of targets of the same file."""
        low, high = (np.searchsorted(targets.path, self.path, side) for side in ("left", "right"))
        return np.stack([low, high], 1)


def read_items(table: EmbeddingTable | StoredRows, pool: Pool = "mean") -> Items:
    """Return the files of a table, or its segments as moments.

    Vectors of a :class:`StoredRows` are read a part at a time, so that there is one copy of them.

    Args:
        table: segments with vectors.
        pool: ``mean`` ranks files by the mean of their vectors, ``max`` by their best pair of
            segments; ``moments`` makes an item of every segment.

    Raises:
        StoreError: the table has no rows.
    """
    if len(table.rows) == 0:
        raise StoreError("the dataset has no rows: nothing was embedded, or every file failed")
    rows = table.rows
    path, modality = (_codes(rows[name]) for name in ("path", "modality"))
    order = pc.sort_indices(
        rows, [("modality", "ascending"), ("path", "ascending"), ("segment_index", "ascending")]
    ).to_numpy()
    changes = (np.diff(path[order]) != 0) | (np.diff(modality[order]) != 0)
    starts = np.append(0, np.flatnonzero(changes) + 1)
    if pool == "moments":
        starts = np.arange(len(order))
    whole = len(starts) == len(order)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    item = np.searchsorted(starts, place, side="right") - 1
    segments = None
    if whole or pool == "max":
        sorted_rows = _placed(table, place)
        vectors = sorted_rows
        if not whole:
            segments = Bags(sorted_rows, starts)
            sums = np.add.reduceat(sorted_rows, starts, axis=0, dtype=np.float64)
            vectors = unit(sums).astype(np.float32)
    else:
        vectors = _means(table, item, len(starts))
    first = order[starts]

    def column(name: str) -> np.ndarray:
        if name not in rows.column_names:
            return np.full(len(first), None, dtype=object)
        values = rows[name].to_pylist()
        return np.array([None if v in (None, "") else str(v) for v in values], object)[first]

    def seconds(name: str) -> np.ndarray:
        values = rows[name].to_numpy() if pool == "moments" else np.full(len(rows), np.nan)
        return values.astype(np.float64)[first]

    return Items(
        vectors,
        segments,
        rows["path"].to_numpy()[first],
        rows["modality"].to_numpy()[first],
        *(column(name) for name in ("label", "group", "split", "caption")),
        *(seconds(name) for name in ("start_s", "end_s")),
    )


def _codes(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return an integer for each text, the same for the same; -1 for none."""
    coded = pc.dictionary_encode(column)
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(int)


def _placed(table: EmbeddingTable | StoredRows, place: np.ndarray) -> np.ndarray:
    """Return unit vectors ``(rows, dim)``, each row at its place."""
    found = np.empty((len(place), table.provenance.dim), np.float32)
    for part, rows in _unit_blocks(table):
        found[place[part]] = rows
    return found


def _means(table: EmbeddingTable | StoredRows, item: np.ndarray, items: int) -> np.ndarray:
    """Return unit vectors ``(items, dim)``, the mean of each item's rows."""
    sums = np.zeros((items, table.provenance.dim), np.float64)
    for part, rows in _unit_blocks(table):
        found, which = np.unique(item[part], return_inverse=True)
        sums[found] += members(which, len(found)) @ rows
    for low in range(0, items, BLOCK_ROWS):
        sums[low : low + BLOCK_ROWS] = unit(sums[low : low + BLOCK_ROWS])
    return sums.astype(np.float32)


def _unit_blocks(table: EmbeddingTable | StoredRows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield which rows of the table, and their unit vectors in float64."""
    start = 0
    for block in table.blocks():
        for low in range(0, len(block), BLOCK_ROWS):
            rows = unit(block[low : low + BLOCK_ROWS])
            yield slice(start, start + len(rows)), rows
            start += len(rows)


def choose_split(items: Items, split: str | None) -> tuple[Items, Items | None, str]:
    """Return the items to score, those to train classifiers on (or None), and a line saying so.

    Args:
        items: all of them.
        split: the split to score; ``all`` takes every file; None takes ``test`` if there is
            one, else every file.

    Raises:
        ConfigError: no item is in ``split``.
    """
    what = "files" if np.isnan(items.start).all() else "moments"
    present = sorted({s for s in items.split if s is not None})
    if split == "all" or (split is None and "test" not in present):
        return items, None, f"all {len(items):,} {what}"
    wanted = split or "test"
    mask = items.split == wanted
    if not mask.any():
        raise ConfigError(
            f"--split {wanted}: no row is in it; the dataset has "
            f"{', '.join(present) if present else 'no splits'}"
        )
    training = items.split == "train"
    train = items.select(training) if training.any() and wanted != "train" else None
    said = f"split {wanted}: {int(mask.sum()):,} of {len(items):,} {what}"
    return items.select(mask), train, said
