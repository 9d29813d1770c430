"""The rows of a table as items to score: files, cells or moments, with labels, groups and split.

This module knows nothing of metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import StoreError
from mmembed.evaluation.item_columns import (
    codes,
    file_of,
    numbers,
    segment_indices,
    stem_of,
    texts,
    whole_texts,
    with_item_paths,
    words,
)
from mmembed.evaluation.item_labels import read_labels
from mmembed.evaluation.unusable_rows import UnusableRows, kinds_of, usable_of_each
from mmembed.evaluation.vectors import members, unit, unit_and_lengths
from mmembed.modality import Modality, position
from mmembed.neighbors.vector_rows import Bags, Ranked
from mmembed.store.column_types import with_fields
from mmembed.store.label_codes import LabelCodes
from mmembed.store.labels import ABOUT, Spellings
from mmembed.store.table import EmbeddingTable, StoredRows

Notion = Literal["label", "group", "stem"]
Pool = Literal["mean", "max", "moments"]
NOTIONS: tuple[Notion, ...] = ("label", "group", "stem")
SPANS = {"start": "start_s", "end": "end_s", "start_char": "start_char", "end_char": "end_char"}
COLUMNS = ("path", "cell", "region", "field", "kind", *ABOUT, "text", *SPANS)
READ_COLUMNS = ["field", "cell", "region", "segment_index", *SPANS.values(), *ABOUT]
READ_COLUMNS += ["text", "caption"]
SORTING = ("field", "path", "modality", "segment_index")
READ_ROWS = 1 << 14


@dataclass(frozen=True)
class Items:
    """Files and cells, or moments of them, with a unit vector each; those of a field together.

    Attributes:
        vectors: float32 ``(items, dim)``, the mean of a file's segments scaled to unit length.
        segments: the unit vectors of each item, if its best pair of them is what is ranked; None
            where ``vectors`` are.
        path: of each file, relative to the source, ``manifest.csv#id:17#0`` of a cell, or
            ``film.mp4#t=1.5,3`` of a region; ascending within a field.
        cell: the name of each cell in its manifest; None of a file.
        region: the name of each region of a file; None of a whole file.
        field: of each item.
        kind: the modality of each item.
        label: text or None, of each; its labels with commas between, if it has several.
        group: text or None, of each.
        split: ``train``, ``val``, ``test``, another name or None, of each.
        text: the words of each, or None.
        start: seconds, of each moment; NaN for a whole file and for what has no time.
        end: likewise.
        start_char: the first character of each moment of a text; NaN for a whole text and for
            other media.
        end_char: the one after the last; likewise.
        labels: the labels of each, a tuple of texts, if any has several; else None.
        spellings: by column, how labels, groups and splits of the whole dataset are written.
        unusable: the rows of the items whose vectors can't be compared; no part of ``vectors`` and
            ``segments`` but where an item has no other, and is NaN or zero.
    """

    vectors: np.ndarray
    segments: Bags | None
    path: np.ndarray
    cell: np.ndarray
    region: np.ndarray
    field: np.ndarray
    kind: np.ndarray
    label: np.ndarray
    group: np.ndarray
    split: np.ndarray
    text: np.ndarray
    start: np.ndarray
    end: np.ndarray
    start_char: np.ndarray
    end_char: np.ndarray
    labels: np.ndarray | None = None
    spellings: Mapping[str, Spellings] = dataclasses.field(default_factory=dict)
    unusable: UnusableRows = dataclasses.field(default_factory=UnusableRows.none)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def fields(self) -> dict[str, Modality]:
        """The modality of each field that is present, in the order of modalities, then by name."""
        kinds = dict(zip(self.field[::-1], self.kind[::-1], strict=True))
        return dict(sorted(kinds.items(), key=lambda pair: (position(pair[1]), pair[0])))

    @property
    def unit(self) -> str:
        """One of these in a word: ``file``, ``cell``, ``moment``, or ``item`` if they differ."""
        if not (np.isnan(self.start) & np.isnan(self.start_char)).all():
            return "moment"
        named = (self.cell, self.region)
        cells, regions = (sum(name is not None for name in names) for names in named)
        return "file" if cells + regions == 0 else "cell" if cells == len(self) else "item"

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
        if self.labels is not None:
            columns["labels"] = self.labels[part]
        vectors = self.vectors[part]
        return replace(self, vectors=vectors, segments=segments, unusable=unusable, **columns)

    def names(self) -> np.ndarray:
        """Return the names of items in words ``(items,)``: path, and start of a moment."""
        names = self.path.copy()
        for i in np.flatnonzero(~np.isnan(self.start)):
            names[i] = f"{names[i]} from {self.start[i]:.10g} s"
        for i in np.flatnonzero(~np.isnan(self.start_char)):
            names[i] = f"{names[i]} from character {self.start_char[i]:.0f}"
        return names

    def keys(self, notion: Notion) -> np.ndarray:
        """Return integer codes ``(items,)`` of the labels, groups or stems, -1 if unknown.

        Several labels together have one code.
        """
        if notion == "stem":
            stems = list(map(stem_of, self.path, self.cell, self.region))
            return codes(pa.array(stems, pa.string()))
        return codes(pa.array(self.label if notion == "label" else self.group, pa.string()))

    def relevance_keys(self, notion: Notion) -> LabelCodes:
        """Return the codes of each item's labels, group or stem: items that share one are alike."""
        if notion == "label" and self.labels is not None:
            return LabelCodes.of(self.labels)
        return LabelCodes.of_padded(self.keys(notion)[:, None])

    def groups(self) -> np.ndarray:
        """Return text ``(items,)``, the same for what is one thing: its group, else its file."""
        pairs = zip(self.group, self.files(), strict=True)
        return np.array([file if group is None else group for group, file in pairs], dtype=object)

    def files(self) -> list[str]:
        """Return the path of each item's file; the name of a cell."""
        return list(map(file_of, self.path, self.region))

    def own(self, targets: Items) -> np.ndarray:
        """Return, of each item, the range ``(items, 2)`` of targets of the same file."""
        low, high = (np.searchsorted(targets.path, self.path, side) for side in ("left", "right"))
        return np.stack([low, high], 1)


def read_items(
    table: EmbeddingTable | StoredRows, pool: Pool = "mean", label_separator: str = ""
) -> Items:
    """Return the files and cells of a table, or their segments as moments.

    Vectors of a :class:`StoredRows` are read a part at a time, so that there is one copy of them.

    A vector that is missing, of another length, not finite or zero is no part of a file's mean
    or bag; a file that has no other keeps a NaN or zero, which whoever scores leaves out.

    Args:
        table: segments with vectors; without a column ``segment_index`` the rows of a file are its
            segments as they come.
        pool: ``mean`` ranks files by the mean of their vectors, ``max`` by their best pair of
            segments; ``moments`` makes an item of every segment.
        label_separator: stands between several labels of a text; empty where a text is one label.

    Raises:
        StoreError: the table has no rows, or a column that is needed is missing or of a type that
            can't be told in a word.
    """
    rows = with_item_paths(with_fields(table.rows))
    if len(rows) == 0:
        raise StoreError(
            f"{table.name}: the dataset has no rows: nothing was embedded, or every file failed"
        )
    keys = [key for key in SORTING if key in rows.column_names]
    order = pc.sort_indices(rows, [(key, "ascending") for key in keys]).to_numpy()
    named = np.stack([codes(rows[name])[order] for name in SORTING[:3]])
    starts = np.append(0, np.flatnonzero((np.diff(named) != 0).any(0)) + 1)
    if pool == "moments":
        if "start_s" not in rows.column_names or "end_s" not in rows.column_names:
            missing = "end_s" if "start_s" in rows.column_names else "start_s"
            raise StoreError(f"{table.name}: has no column {missing}, which moments need")
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
    spans = {name: numbers(rows, column) for name, column in SPANS.items()}
    characters = (spans["start_char"], spans["end_char"])
    nowhere = np.full(len(first), np.nan)
    about = read_labels(rows.take(pa.array(first)), table.name, label_separator)
    return Items(
        vectors,
        segments,
        path=rows["path"].to_numpy()[first],
        cell=words(rows, "cell", table.name)[first],
        region=words(rows, "region", table.name)[first],
        field=rows["field"].to_numpy()[first],
        kind=rows["modality"].to_numpy()[first],
        text=whole_texts(texts(rows, table.name), characters, order, starts),
        labels=about.several,
        spellings=about.spellings,
        unusable=UnusableRows.of(kinds, starts, segment_indices(rows)[order]),
        **about.columns,
        **{name: each[first] if pool == "moments" else nowhere for name, each in spans.items()},
    )


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
