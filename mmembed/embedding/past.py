"""What a dataset holds already, and making it true to its source.

A file is done if a part or its errors name it with the same size and time (or checksum). Rows of
files that changed or are gone are taken out, and columns that a manifest carries are kept as it
says them now; both by writing the part again, whole or not at all. :func:`compare` only looks;
:func:`apply` writes. No vector is read before one has to be written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mmembed.embedding.listing import Listing, file_key
from mmembed.errors import StoreError
from mmembed.storage import Place
from mmembed.store.dataset_files import one_line, part_files
from mmembed.store.part_file import read_part, read_part_errors
from mmembed.store.schema import ERROR_SCHEMA, RESERVED, ROW_FIELDS
from mmembed.store.writer import remove_part, write_part

KEY_COLUMNS = ("path", "modality", "size")
ROW_COLUMNS = tuple(column.name for column in ROW_FIELDS)
NO_ERRORS = pa.table({f.name: pa.nulls(0, f.type) for f in ERROR_SCHEMA}, schema=ERROR_SCHEMA)


@dataclass(frozen=True)
class Index:
    """Which files a listing has, in as little memory as it takes.

    Attributes:
        keys: of all files, sorted, uint64 ``(files,)``.
        samples: by key, the row of a manifest; empty where nothing is carried through.
        times: by key, the time of the last change; empty unless checksums tell files apart.
    """

    keys: np.ndarray
    samples: dict[int, int | None] = field(default_factory=dict)
    times: dict[int, int | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Return where each of ``keys`` stands in :attr:`keys`, -1 if it does not."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        near = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[near] == keys, near, -1)


def index(listing: Listing, by_checksum: bool = False) -> Index:
    """Walk a listing once and return which files it has."""
    if listing.carried_types or by_checksum:
        files = {file.key: (file.row, file.mtime_ns) for file in listing}
        keys = np.sort(np.array(list(files), np.uint64))
        samples = {key: row for key, (row, _) in files.items() if listing.carried_types}
        times = {key: time for key, (_, time) in files.items() if by_checksum}
        return Index(keys, samples, times)
    return Index(np.sort(np.fromiter((file.key for file in listing), np.uint64)))


@dataclass(frozen=True)
class Change:
    """A part that has to be written again.

    Attributes:
        part: its file.
        rows: which of its rows stay, bool.
        errors: which rows of its errors stay, bool.
        keys: of its rows, uint64.
    """

    part: Place
    rows: np.ndarray
    errors: np.ndarray
    keys: np.ndarray


@dataclass
class Past:
    """What a dataset holds, seen from a listing.

    Attributes:
        done: sorted keys of the files that need no work, uint64.
        failed: how many of them have an error.
        removed: files whose rows or errors are to be taken out, as they changed or are gone.
        retried: files whose errors are to be taken out, to be tried again.
        changes: the parts that are to be written again.
    """

    done: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    failed: int = 0
    removed: int = 0
    retried: int = 0
    changes: list[Change] = field(default_factory=list)


def compare(
    out: Place,
    listing: Listing,
    present: Index,
    *,
    retry_errors: bool = False,
    by_checksum: bool = False,
    owns: Callable[[str], bool] | None = None,
) -> Past:
    """Return what the dataset holds, and what makes it true to the listing.

    Args:
        out: the dataset; need not exist.
        listing: of the source.
        present: the files that the listing has now.
        retry_errors: files that have an error count as not done.
        by_checksum: files are told apart by their content, not by their time.
        owns: whether a path belongs to this shard; None if all do. Others are left alone.

    Raises:
        StoreError: a part that has to be written again holds rows of other shards.
    """
    past = Past()
    seen = np.zeros(len(present) + 1, bool)  # the last stands for what is not present
    for part in part_files(out) if out.is_dir() else []:
        try:
            rows, errors = _read(part)
        except FileNotFoundError:
            continue  # another shard took it out just now, as its files changed or are gone
        of_rows = _keys(rows, listing.by_modality, by_checksum)
        of_errors = _keys(errors, listing.by_modality, by_checksum)
        mine, my_errors = _owned(rows, owns), _owned(errors, owns)
        both = np.unique(np.concatenate([of_rows[mine], of_errors[my_errors]]))
        places = present.places(both)
        current = both[(places >= 0) & ~seen[places]]
        again = np.intersect1d(current, of_errors) if retry_errors else current[:0]
        past.removed += len(both) - len(current)
        past.retried += len(again)
        current = np.setdiff1d(current, again)
        past.failed += int(np.isin(current, of_errors).sum())
        change = Change(
            part,
            ~mine | np.isin(of_rows, current),
            ~my_errors | np.isin(of_errors, current),
            of_rows,
        )
        stays = change.rows.all() and change.errors.all()
        if not stays or _differ(_kept(rows, mine), _now(of_rows[mine], listing, present)):
            if not (mine.all() and my_errors.all()):
                raise StoreError(
                    f"{part}: files in it changed, and it holds files of other shards too. Run "
                    "once without --shard, or with the number of shards that made it."
                )
            past.changes.append(change)
        seen[present.places(current)] = True
    past.done = present.keys[seen[:-1]]
    return past


def apply(out: Place, listing: Listing, present: Index, past: Past, schema: pa.Schema) -> None:
    """Write the parts of ``past.changes`` again, each whole or not at all."""
    for change in past.changes:
        try:
            rows = read_part(change.part, needed=(*ROW_COLUMNS, "embedding"))
            errors = _errors_of(change.part)
        except FileNotFoundError:
            continue
        if (len(rows), len(errors)) != (len(change.rows), len(change.errors)):
            continue  # a run at the same URL was here in between; the next one looks again
        rows, errors = _kept(rows, change.rows), _kept(errors, change.errors)
        if len(rows) or len(errors):
            now = _now(change.keys[change.rows], listing, present)
            rows = _as(schema, rows, now, change.part)
            write_part(out, change.part.name, rows, errors)
        else:
            remove_part(out, change.part.name)


def _read(part: Place) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a part without their vectors, and its errors."""
    try:
        return read_part(part, leave_out=("embedding",), needed=ROW_COLUMNS), _errors_of(part)
    except StoreError as error:
        raise StoreError(
            f"{error}. Remove it and run again: its files are then embedded anew."
        ) from None


def _errors_of(part: Place) -> pa.Table:
    errors = read_part_errors(part.parent, part.name)
    return NO_ERRORS if errors is None else errors


def _now(keys: np.ndarray, listing: Listing, present: Index) -> pa.Table:
    """Return what the source says of some rows now, beside their vectors."""
    places = keys.tolist()
    now = listing.carried([present.samples.get(key) for key in places])
    if present.times:
        times = pa.array([present.times.get(key) for key in places], pa.int64())
        now = pa.table({**{n: now[n] for n in now.column_names}, "mtime_ns": times})
    return now


def _as(schema: pa.Schema, rows: pa.Table, now: pa.Table, part: Place) -> pa.Table:
    """Return the rows with what the source says of them now, with the columns of ``schema``."""
    try:
        arrays = [
            (now if column.name in now.column_names else rows)[column.name].cast(column.type)
            for column in schema
        ]
    except (pa.ArrowException, KeyError) as error:
        raise StoreError(f"{part}: can't be continued ({one_line(error)})") from None
    return pa.Table.from_arrays(arrays, schema=schema)


def _kept(table: pa.Table, chosen: np.ndarray) -> pa.Table:
    return table if chosen.all() else table.filter(pa.array(chosen))


def _differ(rows: pa.Table, now: pa.Table) -> bool:
    said = [n for n in rows.column_names if n not in RESERVED or n in now.column_names]
    return set(said) != set(now.column_names) or not rows.select(said).equals(now.select(said))


def _owned(table: pa.Table, owns: Callable[[str], bool] | None) -> np.ndarray:
    if owns is None:
        return np.ones(len(table), bool)
    return np.fromiter((owns(path) for path in table["path"].to_pylist()), bool, len(table))


def _keys(table: pa.Table, by_modality: bool, by_checksum: bool) -> np.ndarray:
    """Return the file key of each row, as :attr:`File.key` makes it."""
    columns = [table[name].to_pylist() for name in (*KEY_COLUMNS, "mtime_ns")]
    if not by_modality:
        columns[1] = [None] * len(table)
    if by_checksum and "checksum" in table.column_names:
        found = zip(table["checksum"].to_pylist(), columns[3], strict=True)
        columns[3] = [time if checksum is None else checksum for checksum, time in found]
    return np.array([file_key(*row) for row in zip(*columns, strict=True)], np.uint64)
