"""The rows of a table as items to score: files or moments, with labels, groups and split.

This module knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ConfigError, StoreError
from mmembed.errors.plain_text import one_line
from mmembed.evaluation.unusable_rows import UnusableRows, kinds_of, usable_of_each
from mmembed.evaluation.vectors import members, unit, unit_and_lengths
from mmembed.modality import MODALITIES
from mmembed.neighbors.vector_rows import Bags, Ranked
from mmembed.store.column_types import is_word
from mmembed.store.table import EmbeddingTable, StoredRows

Notion = Literal["label", "group", "stem"]
Pool = Literal["mean", "max", "moments"]
NOTIONS: tuple[Notion, ...] = ("label", "group", "stem")
COLUMNS = ("path", "modality", "label", "group", "split", "caption", "start", "end")
SORTING = ("modality", "path", "segment_index")
READ_ROWS = 1 << 14


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
        unusable: the rows of the items whose vectors can't be compared; no part of ``vectors`` and
            ``segments`` but where an item has no other, and is NaN or zero.
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
    unusable: UnusableRows = field(default_factory=UnusableRows.none)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def modalities(self) -> list[str]:
        """The modalities present, in their usual order."""
        order = {name: i for i, name in enumerate(MODALITIES)}
        return sorted(set(self.modality), key=lambda m: (order.get(m, len(order)), m))

    @property
    def ranked(self) -> Ranked:
        """The vectors that retrieval compares, or each file's segments."""
        return self.vectors if self.segments is None else self.segments

    def select(self, which: np.ndarray) -> Items:
        """Return the items of a mask ``which``, or those of these indices in their order.

        Items that stand together are not copied.
        """
        index = np.flatnonzero(which) if which.dtype == bool else which
        together = len(index) > 0 and (np.diff(index) == 1).all()
        part = slice(index[0], index[-1] + 1) if together else index
        segments = None if self.segments is None else self.segments.select(index)
        unusable = self.unusable.select(index, len(self))
        columns = {name: getattr(self, name)[part] for name in COLUMNS}
        vectors = self.vectors[part]
        return replace(self, vectors=vectors, segments=segments, unusable=unusable, **columns)

    def names(self) -> np.ndarray:
        """Return the names of items in words ``(items,)``: path, and start of a moment."""
        moments = zip(self.path, self.start, strict=True)
        names = [p if np.isnan(start) else f"{p} from {start:.10g} s" for p, start in moments]
        return np.array(names, dtype=object)

    def keys(self, notion: Notion) -> np.ndarray:
        """Return integer codes ``(items,)`` of the labels, groups or file stems, -1 if unknown."""
        if notion == "stem":
            texts = pa.array([PurePosixPath(path).stem for path in self.path], pa.string())
        else:
            texts = pa.array(self.label if notion == "label" else self.group, pa.string())
        return _codes(texts)

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

    A vector that is missing, of another length, not finite or zero is no part of a file's mean
    or bag; a file that has no other keeps a NaN or zero, which whoever scores leaves out.

    Args:
        table: segments with vectors; without a column ``segment_index`` the rows of a file are its
            segments as they come.
        pool: ``mean`` ranks files by the mean of their vectors, ``max`` by their best pair of
            segments; ``moments`` makes an item of every segment.

    Raises:
        StoreError: the table has no rows, or a column that is needed is missing or of a type that
            can't be told in a word.
    """
    rows = table.rows
    if len(rows) == 0:
        raise StoreError(
            f"{table.name}: the dataset has no rows: nothing was embedded, or every file failed"
        )
    path, modality = (_codes(rows[name]) for name in ("path", "modality"))
    keys = [key for key in SORTING if key in rows.column_names]
    order = pc.sort_indices(rows, [(key, "ascending") for key in keys]).to_numpy()
    changes = (np.diff(path[order]) != 0) | (np.diff(modality[order]) != 0)
    starts = np.append(0, np.flatnonzero(changes) + 1)
    if pool == "moments":
        starts = np.arange(len(order))
    first = order[starts]
    whole = len(starts) == len(order)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    segments = None
    if whole or pool == "max":
        vectors, kinds = _placed(table, place)
        if not whole:
            segments = _bags(vectors, kinds, starts)
            sums = np.add.reduceat(segments.vectors, segments.starts, axis=0, dtype=np.float64)
            vectors = unit(sums).astype(np.float32)
    else:
        vectors, kinds = _means(table, place, starts)
    items = Items(
        vectors,
        segments,
        rows["path"].to_numpy()[first],
        rows["modality"].to_numpy()[first],
        *(_words(table, name)[first] for name in ("label", "group", "split", "caption")),
        *(_seconds(table, name, pool)[first] for name in ("start_s", "end_s")),
    )
    unusable = UnusableRows.of(kinds, starts, _segment_indices(table)[order])
    return replace(items, unusable=unusable)


def _words(table: EmbeddingTable | StoredRows, name: str) -> np.ndarray:
    """Return the text of each row in a column, None where it has none."""
    if name not in table.rows.column_names:
        return np.full(len(table), None, dtype=object)
    column = table.rows[name]
    if not is_word(column.type):
        kind = one_line(column.type)
        raise StoreError(f"{table.name}: column {name} holds {kind}, not one value a row")
    try:
        values = column.to_pylist()
    except (pa.ArrowException, ValueError, ArithmeticError) as error:  # no year has five digits
        raise StoreError(f"{table.name}: column {name}: {one_line(error)}") from None
    return np.array([None if v in (None, "") else str(v) for v in values], object)


def _seconds(table: EmbeddingTable | StoredRows, name: str, pool: Pool) -> np.ndarray:
    if pool != "moments":
        return np.full(len(table), np.nan)
    if name not in table.rows.column_names:
        raise StoreError(f"{table.name}: has no column {name}, which moments need")
    return table.rows[name].to_numpy().astype(np.float64)


def _segment_indices(table: EmbeddingTable | StoredRows) -> np.ndarray:
    if "segment_index" not in table.rows.column_names:
        return np.full(len(table), -1)
    return pc.fill_null(table.rows["segment_index"], -1).to_numpy()


def _codes(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return an integer for each text, the same for the same; -1 for none."""
    coded = pc.dictionary_encode(column)
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(int)


def _placed(table: EmbeddingTable | StoredRows, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors ``(rows, dim)`` and their kinds ``(rows,)``, each row at its place."""
    vectors = np.empty((len(place), table.provenance.dim), np.float32)
    kinds = np.zeros(len(place), np.uint8)
    for part, rows, broken in _unit_blocks(table):
        vectors[place[part]] = rows
        kinds[place[part]] = broken
    return vectors, kinds


def _bags(rows: np.ndarray, kinds: np.ndarray, starts: np.ndarray) -> Bags:
    """Return the usable rows of each item; the first one of an item that has none."""
    kept = kinds == 0
    kept[starts[usable_of_each(kinds, starts) == 0]] = True
    if kept.all():
        return Bags(rows, starts)
    counts = np.add.reduceat(kept, starts, dtype=int)
    return Bags(rows[kept], np.append(0, counts.cumsum())[:-1])


def _means(
    table: EmbeddingTable | StoredRows, place: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each item's usable rows as unit vectors, and the rows' kinds by place."""
    sums = np.zeros((len(starts), table.provenance.dim), np.float64)
    kinds = np.zeros(len(place), np.uint8)
    for part, rows, broken in _unit_blocks(table):
        rows[broken != 0] = 0
        kinds[place[part]] = broken
        item = np.searchsorted(starts, place[part], side="right") - 1
        items, which = np.unique(item, return_inverse=True)
        sums[items] += members(which, len(items)) @ rows
    for low in range(0, len(sums), READ_ROWS):
        sums[low : low + READ_ROWS] = unit(sums[low : low + READ_ROWS])
    sums[usable_of_each(kinds, starts) == 0] = np.nan
    return sums.astype(np.float32), kinds


def _unit_blocks(
    table: EmbeddingTable | StoredRows,
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield a slice of the rows of the table, their unit vectors in float64, and their kinds."""
    start = 0
    for block in table.blocks():
        for low in range(0, len(block.vectors), READ_ROWS):
            rows, lengths = unit_and_lengths(block.vectors[low : low + READ_ROWS])
            broken = kinds_of(block.lack[low : low + READ_ROWS], lengths)
            yield slice(start, start + len(rows)), rows, broken
            start += len(rows)
    assert start == len(table)  # all that was allocated for them is written


def choose_split(items: Items, split: str | None) -> tuple[Items, Items | None, str]:
    """Return the items to score, those to train classifiers on (or None), and a line saying so.

    Args:
        items: all of them.
        split: the split to score; ``all`` takes every file; None takes ``test`` if there is
            one, else every file.

    Raises:
        ConfigError: no item is in ``split``.
    """
    kind = "files" if np.isnan(items.start).all() else "moments"
    present = sorted({s for s in items.split if s is not None})
    if split == "all" or (split is None and "test" not in present):
        return items, None, f"all {len(items):,} {kind}"
    wanted = split or "test"
    mask = items.split == wanted
    if not mask.any():
        raise ConfigError(
            f"no row is in it; the dataset has {', '.join(present) if present else 'no splits'}",
            "split",
            wanted,
        )
    training = items.split == "train"
    train = items.select(training) if training.any() and wanted != "train" else None
    line = f"split {wanted}: {int(mask.sum()):,} of {len(items):,} {kind}"
    return items.select(mask), train, line
