"""Labels, groups and splits of items, as they are meant, from the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mmembed.evaluation.item_columns import cells_of
from mmembed.store.cells import labels
from mmembed.store.labels import ABOUT, Cell, Spellings, read_cells


class ItemLabels(NamedTuple):
    """Labels, groups and splits of items.

    Attributes:
        columns: ``label``, ``group`` and ``split``, a text or None of each item ``(items,)``;
            several labels with commas between.
        several: the labels of each, a tuple of texts, if any has several; else None.
        spellings: by column, how it is written.
    """

    columns: Mapping[str, np.ndarray]
    several: np.ndarray | None
    spellings: Mapping[str, Spellings]


def read_labels(rows: pa.Table, name: str, separator: str = "") -> ItemLabels:
    """Return the labels, groups and splits of rows, one an item.

    Args:
        rows: of a dataset; each of the columns may be absent.
        name: of the dataset, for errors.
        separator: stands between several labels of a text; empty where a text is one label.

    Raises:
        StoreError: a column holds what is no word.
    """
    if separator and "label" in rows.column_names:
        at = rows.column_names.index("label")
        rows = rows.set_column(at, "label", labels(rows["label"], separator))
    read = {column: read_cells(cells_of(rows, column, name), column) for column in ABOUT}
    spellings = {column: written for column, (_, written) in read.items()}
    columns = {
        column: np.array([_in_words(cell) for cell in cells], object)
        for column, (cells, _) in read.items()
    }
    several = None
    if spellings["label"].several:
        each = (tuple(cell or ()) for cell in read["label"][0])
        several = np.fromiter(each, object, len(rows))
    return ItemLabels(columns, several, spellings)


def _in_words(cell: Cell) -> str | None:
    return ", ".join(cell) if isinstance(cell, list) else cell
