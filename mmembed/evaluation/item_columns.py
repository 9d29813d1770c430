"""Columns of items from the rows of a table: names, words and spans.

This module knows nothing of vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line
from mmembed.store.column_types import is_word, is_word_list
from mmembed.store.labels import Cell

OF_CELL = "#"  # stands between a path and the name of a cell or a region in it
OF_SAMPLE = "id:"  # begins the name of a cell whose sample has an id


def with_item_paths(rows: pa.Table) -> pa.Table:
    """Return rows whose ``path`` names the item.

    It is a file, a cell as ``manifest.csv#id:17#0``, or a region as ``film.mp4#t=1.5,3``.
    """
    for name in ("cell", "region"):
        if name in rows.column_names:
            named = pc.binary_join_element_wise(rows["path"], rows[name], OF_CELL)
            paths = pc.coalesce(named, rows["path"])
            rows = rows.set_column(rows.column_names.index("path"), "path", paths)
    return rows


def file_of(name: str, region: str | None) -> str:
    """Return the path of the file that an item is, or is a region of."""
    return name if region is None else name.removesuffix(f"{OF_CELL}{region}")


def stem_of(name: str, cell: str | None, region: str | None) -> str | None:
    """Return what an item has in common with others of its sample, as far as names tell.

    It is the stem of a file, with the region if it is one, and the id of the sample of a cell.
    """
    if cell is not None:
        return sample_of(cell)
    stem = PurePosixPath(file_of(name, region)).stem
    return stem if region is None else f"{stem}{OF_CELL}{region}"


def sample_of(cell: str) -> str | None:
    """Return the id of the sample of a cell; None if the cell is named for its content."""
    sample = cell.rpartition(OF_CELL)[0]
    return sample.removeprefix(OF_SAMPLE) if sample.startswith(OF_SAMPLE) else None


def codes(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return an integer for each text, the same for the same; -1 for none."""
    coded = pc.dictionary_encode(column)
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(int)


def words(rows: pa.Table, column: str, name: str) -> np.ndarray:
    """Return the text of each row in a column, None where it has none.

    Args:
        rows: of a dataset.
        column: one that may not be there.
        name: of the dataset, for errors.

    Raises:
        StoreError: the column holds what is no word.
    """
    if column not in rows.column_names:
        return np.full(len(rows), None, dtype=object)
    values = rows[column]
    if not is_word(values.type):
        kind = one_line(values.type)
        raise StoreError(f"{name}: column {column} holds {kind}, not one value a row")
    try:
        given = values.to_pylist()
    except (pa.ArrowException, ValueError, ArithmeticError) as error:  # no year has five digits
        raise StoreError(f"{name}: column {column}: {one_line(error)}") from None
    return np.array([None if _is_missing(v) else str(v) for v in given], object)


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # NaN differs from itself


def cells_of(rows: pa.Table, column: str, name: str) -> list[Cell]:
    """Return the cells of a label, group or split: a text, several labels, or None.

    Args:
        rows: of a dataset.
        column: one that may not be there; ``label`` alone may hold lists.
        name: of the dataset, for errors.

    Raises:
        StoreError: the column holds what is no word.
    """
    if column != "label" or column not in rows.column_names:
        return words(rows, column, name).tolist()
    if not is_word_list(rows[column].type):
        return words(rows, column, name).tolist()
    return [[str(v) for v in cell or () if not _is_missing(v)] for cell in rows[column].to_pylist()]


def texts(rows: pa.Table, name: str) -> np.ndarray:
    """Return the words of each row, None where it has none: ``text``, or else ``caption``."""
    given = words(rows, "text", name)
    lacking = np.array([text is None for text in given], bool)
    if lacking.any() and "caption" in rows.column_names:
        given[lacking] = words(rows, "caption", name)[lacking]
    return given


def numbers(rows: pa.Table, column: str) -> np.ndarray:
    """Return the numbers of a column as float64, NaN where there is none."""
    if column not in rows.column_names:
        return np.full(len(rows), np.nan)
    return rows[column].to_numpy().astype(np.float64)


def segment_indices(rows: pa.Table) -> np.ndarray:
    """Return the index of each row's segment, -1 where it has none."""
    if "segment_index" not in rows.column_names:
        return np.full(len(rows), -1)
    return pc.fill_null(rows["segment_index"], -1).to_numpy()


def whole_texts(
    given: np.ndarray, spans: tuple[np.ndarray, np.ndarray], order: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Return the text of each item ``(items,)``, its segments put together.

    An item whose segments do not say which characters they are has the text of the first.

    Args:
        given: the text of each row.
        spans: the first character of each row's text, and the one after its last; NaN where it
            is no segment of a text.
        order: the rows, those of an item together and in the order of its segments.
        starts: the place in ``order`` of the first row of each item.
    """
    made = given[order[starts]]
    ends = np.append(starts[1:], len(order))
    cut = (ends - starts > 1) & np.isfinite(spans[0][order[starts]])
    for item in np.flatnonzero(cut):
        rows = order[starts[item] : ends[item]]
        whole = _joined(zip(given[rows], spans[0][rows], spans[1][rows], strict=True))
        made[item] = made[item] if whole is None else whole
    return made


def _joined(segments: Iterable[tuple[str | None, float, float]]) -> str | None:
    """Return a text from segments that may overlap; None if one is not as long as it says."""
    parts: list[str] = []
    reached = 0
    for text, start, end in segments:
        if text is None or len(text) != end - start:
            return None
        if parts and start > reached:
            parts.append(" ")
        parts.append(text[max(0, reached - int(start)) :])
        reached = max(reached, int(end))
    return "".join(parts)
