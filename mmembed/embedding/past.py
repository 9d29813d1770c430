"""What a dataset holds already: bound to one space, source and settings, and true to its source.

A file is done if a part or its errors name it with the same size and time. Rows of files that
changed or are gone are taken out, and columns that a manifest carries are kept as it says them
now; both by writing the part again, whole or not at all. No file of the source is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.embedding.listing import FolderListing, Listing, file_key
from mmembed.errors import StoreError
from mmembed.store.schema import ERROR_SCHEMA, RESERVED, Provenance
from mmembed.store.table import part_files
from mmembed.store.writer import (
    CARD,
    read_card_text,
    remove_leftovers,
    remove_part,
    write_card,
    write_part,
)

KEY_COLUMNS = ["path", "modality", "size", "mtime_ns"]


@dataclass(frozen=True)
class Index:
    """Which files a listing has, in as little memory as it takes.

    Attributes:
        keys: of all files, sorted, uint64 ``(files,)``.
        samples: by key, the row of a manifest; empty where nothing is carried through.
    """

    keys: np.ndarray
    samples: dict[int, int | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


def index(listing: Listing) -> Index:
    """Walk a listing once and return which files it has."""
    if listing.carried_types:
        samples = {file.key: file.row for file in listing}
        return Index(np.sort(np.array(list(samples), np.uint64)), samples)
    return Index(np.sort(np.fromiter((file.key for file in listing), np.uint64)))


def bind(out: Path, provenance: Provenance) -> None:
    """Write what makes the dataset, or refuse if something else made it.

    Raises:
        StoreError: ``out`` is no dataset, or another space, source or setting made it.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, but the dataset is a folder")
    text = read_card_text(out)
    if text is None or not part_files(out):
        if text is None and out.is_dir() and any(not p.name.startswith(".") for p in out.iterdir()):
            raise StoreError(
                f"{out}: has files but no {CARD}, so it is no dataset. Name another folder."
            )
        write_card(out, provenance.to_json())
        return
    made = Provenance.from_json(text, str(out / CARD))
    if made.fingerprint != provenance.fingerprint:
        raise StoreError(
            f"{out}: made by space {made.space} ({made.fingerprint[:8]}), not by "
            f"{provenance.space} ({provenance.fingerprint[:8]}). Name another folder, or remove "
            "this one."
        )
    if made.source != provenance.source:
        raise StoreError(
            f"{out}: holds the vectors of {made.source}, not of {provenance.source}. "
            "Name another folder."
        )
    before, now = dict(made.settings or {}), dict(provenance.settings or {})
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise StoreError(
                f"{out}: made with {name} {before.get(name)}, not {now.get(name)}. "
                "Give the same, or name another folder."
            )


def reconcile(
    out: Path, listing: Listing, present: Index, schema: pa.Schema
) -> tuple[np.ndarray, int]:
    """Make the dataset true to the listing, and return what is done already.

    Args:
        out: the dataset.
        listing: of the source.
        present: the files that the listing has now.
        schema: of a part.

    Returns:
        sorted keys of the files that are done, and the number of files whose rows or errors
        were taken out.
    """
    remove_leftovers(out)
    by_modality = not isinstance(listing, FolderListing)
    done, removed = np.empty(0, np.uint64), 0
    for part in part_files(out):
        beside = out / "_errors" / part.name
        rows = pq.read_table(part, partitioning=None, columns=_cheap(part))
        errors = pq.read_table(beside) if beside.exists() else ERROR_SCHEMA.empty_table()
        of_rows, of_errors = _keys(rows, by_modality), _keys(errors, by_modality)
        both = np.unique(np.concatenate([of_rows, of_errors]))
        current = both[np.isin(both, present.keys) & ~np.isin(both, done)]
        kept = np.isin(of_rows, current)
        now = listing.carried([present.samples.get(key) for key in of_rows[kept].tolist()])
        if len(current) < len(both) or _differ(rows, now):
            removed += len(both) - len(current)
            whole = pq.read_table(part, partitioning=None).filter(pa.array(kept))
            left = errors.filter(pa.array(np.isin(of_errors, current)))
            _rewrite(out, part.name, _with(whole, now, schema), left)
        done = np.union1d(done, current)
    return done, removed


def _cheap(part: Path) -> list[str]:
    return [name for name in pq.read_schema(part).names if name != "embedding"]


def _differ(rows: pa.Table, now: pa.Table) -> bool:
    carried = [name for name in rows.column_names if name not in RESERVED]
    return carried != now.column_names or not rows.select(carried).equals(now)


def _with(rows: pa.Table, carried: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows of a part with the carried columns as they are now."""
    arrays = [
        (carried if column.name in carried.column_names else rows)[column.name].cast(column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _rewrite(out: Path, name: str, rows: pa.Table, errors: pa.Table) -> None:
    if len(rows) or len(errors):
        write_part(out, name, rows, errors)
    else:
        remove_part(out, name)


def _keys(table: pa.Table, by_modality: bool) -> np.ndarray:
    """Return the file key of each row, as :attr:`File.key` makes it."""
    columns = [table[name].to_pylist() for name in KEY_COLUMNS]
    if not by_modality:
        columns[1] = [None] * len(table)
    return np.array([file_key(*row) for row in zip(*columns, strict=True)], np.uint64)
