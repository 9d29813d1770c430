"""The files, or items in cells of a manifest, that the rows of a dataset are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from mmembed.embedding.plan.catalog import Catalog
from mmembed.errors import StoreError
from mmembed.media.source_file import unit_name
from mmembed.paths import Place
from mmembed.store.schema import ERROR_SCHEMA, ROW_FIELDS

KEY_COLUMNS = ("path", "field", "size", "mtime_ns", "cell", "checksum", "region")
LATER_KEYS = ("cell", "checksum", "region")  # null where there is no such column
KEY_TYPES = {c.name: c.type for c in (*ROW_FIELDS, *ERROR_SCHEMA) if c.name in KEY_COLUMNS}
INSTEAD = {"field": "modality"}  # in datasets from before there were fields


class RowFiles:
    """The files that the rows of a part, or of its errors, are of.

    Args:
        part: for errors.
        table: of it, without vectors.
        files: of the source now.

    Attributes:
        keys: of each row's file, as the source has it, uint64 ``(rows,)``.
        mine: which rows belong to this shard, bool ``(rows,)``.
        hidden: keys of files below a folder that could not be seen.
        kept: keys of files that could not be seen themselves, but have rows of when they could.
    """

    def __init__(self, part: Place, table: pa.Table, files: Catalog) -> None:
        paths, fields, sizes, times, cells, checksums, regions = key_columns(part, table)
        states, in_cells = times, any(cells)
        if files.by_checksum or in_cells:
            rows = zip(times, cells, checksums, strict=True)
            states = [
                time if checksum is None or not (files.by_checksum or cell) else checksum
                for time, cell, checksum in rows
            ]
        units = list(map(unit_name, paths, cells)) if in_cells else paths
        self.keys = files.keys_of(units, fields, sizes, states, regions)
        self.mine = np.ones(len(table), bool)
        if files.owns is not None:
            self.mine = np.fromiter(map(files.owns, units), bool, len(table))
        self.hidden = self.kept = self.keys[:0]
        if files.hides_any:
            hidden = np.fromiter(map(files.hides, paths), bool, len(table)) & self.mine
            self.hidden = np.setdiff1d(self.keys[hidden], files.keys)
            known = np.array([size is not None for size in sizes], bool)
            unseen = np.fromiter((path in files.unseen for path in paths), bool, len(table))
            self.kept = np.unique(self.keys[unseen & known & self.mine])

    def stays(self, staying: np.ndarray) -> np.ndarray:
        """Return which rows stay if the files of the keys ``staying`` do, bool ``(rows,)``."""
        return ~self.mine | np.isin(self.keys, staying)


def key_columns(part: Place, table: pa.Table) -> list[list[Any]]:
    """Return the columns that say which file each row is of, in the order of ``KEY_COLUMNS``.

    Args:
        part: for errors.
        table: of it, without vectors.

    Raises:
        StoreError: one of them is not as mmembed writes it.
    """
    return [_plain(part, table, name) for name in KEY_COLUMNS]


def _plain(part: Place, table: pa.Table, name: str) -> list[Any]:
    """Return the values of a column that says which file a row is of."""
    if name not in table.column_names:
        name = INSTEAD.get(name, name)
    if name in LATER_KEYS and name not in table.column_names:
        return [None] * len(table)
    try:
        return table[name].cast(KEY_TYPES.get(name, pa.string())).to_pylist()
    except (KeyError, pa.ArrowException):
        raise StoreError(
            f"{part}: its column {name} is not as mmembed writes it. Remove it and run again."
        ) from None
