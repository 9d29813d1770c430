"""Regions that rows of a manifest ask for: ``start_s`` and ``end_s``, and ``box``.

``start_s`` and ``end_s`` are seconds on the clock of the row's sounds and videos, ``box`` is x, y,
width and height in pixels of the row's pictures as they are shown upright. In Parquet a box is a
list of 4 numbers or a struct of ``x``, ``y``, ``width`` and ``height``, in JSONL likewise; as text
it is the 4 numbers with commas or blanks between, in brackets or not. What a row says wrongly costs
that row alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import one_line
from mmembed.media.regions import PIXELS, TIME, region_name, written
from mmembed.media.spans import Box, Span
from mmembed.modality import Modality
from mmembed.store.cells import texts

START, END, BOX = "start_s", "end_s", "box"
COLUMNS = (START, END, BOX)
ADDED = SPANS, BOXES, FAULTS = "span of the row", "box of the row", "fault of the row"
OF_KIND: Mapping[Modality, str] = {"audio": SPANS, "video": SPANS, "image": BOXES}
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
CORNER_AND_SIZE = ("x", "y", "width", "height")
SHOWN = 40  # characters of a cell


class RegionColumns:
    """The regions that the samples of a manifest ask for.

    Args:
        samples: with the columns that :func:`with_regions` adds, or without.
    """

    def __init__(self, samples: pa.Table) -> None:
        self._columns = {
            name: samples[name].to_pylist() for name in ADDED if name in samples.column_names
        }

    def __bool__(self) -> bool:
        """Return whether any sample may have a region."""
        return bool(self._columns)

    def name(self, kind: Modality, row: int) -> str | None:
        """Return the name of the region that an item of a row is; None for all of it.

        In a row that can't be right, it is what all of the row says.
        """
        if not self._columns:
            return None
        if self._columns[FAULTS][row]:
            said = (self._columns[name][row] for name in (SPANS, BOXES))
            return "&".join(each for each in said if each)
        return self._columns[OF_KIND[kind]][row] if kind in OF_KIND else None

    def fault(self, row: int) -> str:
        """Return why a row can't be right, ``row 3, column end_s: …``; empty if it can."""
        return (self._columns[FAULTS][row] or "") if self._columns else ""


def with_regions(
    samples: pa.Table, given: pa.Table, known: Mapping[str, Modality], path: object
) -> pa.Table:
    """Return samples with :data:`ADDED`: the names of their regions, and the faults of rows.

    Args:
        samples: a row a sample, with the columns of media.
        given: the manifest as it was read.
        known: the kind of each column that may hold items.
        path: of the manifest, for errors.

    Raises:
        ManifestError: a column is of a type that can't hold such values.
    """
    names = [name for name in COLUMNS if name in given.column_names and name not in known]
    if not names:
        return samples
    cells = {name: [None] * len(given) for name in COLUMNS}
    for name in names:
        read = _boxes if name == BOX else _texts
        cells[name] = read(given[name], f"{path}: column {name}")
    takers = {
        name: _any_filled(samples, [c for c, kind in known.items() if OF_KIND.get(kind) == name])
        for name in (SPANS, BOXES)
    }
    spans, boxes, faults = [], [], []
    rows = zip(*(cells[name] for name in COLUMNS), takers[SPANS], takers[BOXES], strict=True)
    for row, (start, end, box, is_timed, is_seen) in enumerate(rows):
        span_name, span_fault = _span(start, end, is_timed)
        box_name, box_fault = _box(box, is_seen)
        fault = span_fault or box_fault
        spans.append(span_name)
        boxes.append(box_name)
        faults.append(f"row {row}, column {fault}" if fault else None)
    for name, values in zip(ADDED, (spans, boxes, faults), strict=True):
        samples = samples.append_column(name, pa.array(values, pa.string()))
    return samples


def _any_filled(samples: pa.Table, columns: Sequence[str]) -> list[bool]:
    filled = [pc.is_valid(samples[c]) for c in columns if c in samples.column_names]
    none = pa.chunked_array([pa.array([False] * len(samples), pa.bool_())])
    return functools.reduce(pc.or_, filled, none).to_pylist()


def _texts(column: pa.ChunkedArray, where: str) -> list[Any]:
    if types.is_floating(column.type) or types.is_integer(column.type):
        return column.to_pylist()
    return texts(column, where).to_pylist()


def _boxes(column: pa.ChunkedArray, where: str) -> list[Any]:
    kind = column.type
    if types.is_struct(kind):
        names = [field.name for field in kind]
        if sorted(names) != sorted(CORNER_AND_SIZE):
            raise ManifestError(f"{where} holds {', '.join(names)}, not x, y, width and height")
        rows = column.to_pylist()
        return [cell and [cell[name] for name in CORNER_AND_SIZE] for cell in rows]
    if types.is_nested(kind):
        return column.to_pylist()
    return [
        cell and cell.strip() and re.split(r"\s*,\s*|\s+", cell.strip().strip("[]()").strip())
        for cell in texts(column, where).to_pylist()
    ]


def _span(start: Any, end: Any, is_timed: bool) -> tuple[str | None, str]:
    """Return the name of a span, and what is wrong with which of its columns."""
    cells = {START: start, END: end}
    if all(map(_is_empty, cells.values())):
        return None, ""
    name = TIME + ",".join(map(_shown, cells.values()))
    for column, other in ((START, END), (END, START)):
        if _is_empty(cells[column]):
            return name, f"{column}: is empty, but {other} is {_shown(cells[other])}"
    numbers = []
    for column, cell in cells.items():
        number = _number(cell)
        if number is None:
            return name, f"{column}: {_shown(cell)} is no number of seconds"
        if number < 0:
            return name, f"{column}: {_shown(cell)} is below 0"
        numbers.append(number)
    if numbers[1] <= numbers[0]:
        return name, f"{END}: {_shown(end)} is not after {START}, {_shown(start)}"
    fault = "" if is_timed else f"{START}: a span is for sounds and videos, and the row has none"
    return region_name(Span(0, *numbers)), fault


def _box(cells: Any, is_seen: bool) -> tuple[str | None, str]:
    """Return the name of a box, and what is wrong with its column."""
    if not cells:
        return None, ""
    name = PIXELS + ",".join(map(_shown, cells))
    numbers = [number for number in map(_number, cells) if number is not None]
    if len(cells) != 4 or len(numbers) != 4:
        return name, f"{BOX}: {name.removeprefix(PIXELS)} is not x, y, width and height"
    if min(numbers[2:]) <= 0:
        return name, f"{BOX}: {name.removeprefix(PIXELS)} is empty"
    fault = "" if is_seen else f"{BOX}: a box is for pictures, and the row has none"
    return region_name(Box(*numbers)), fault


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _number(cell: Any) -> float | None:
    """Return a finite number; None of what is none."""
    if isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    return written(cell) if isinstance(cell, float) else one_line(cell)[:SHOWN].strip()
