"""The changes that make a dataset true to its source, and the files that need no work.

A file is done if a part or its errors name it with the same size and time (or checksum). Rows of
files that changed or are gone are taken out, and columns that a manifest carries are kept as it
says them now; both by writing the part again, whole or not at all. What could not be seen is not
gone: its rows and errors stay as they are. Rows that another decode revision made never stay: the
run is refused, or they are taken out to be embedded anew. :func:`find_changes` only looks;
:func:`apply_changes` writes. No vector is read before one has to be written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.embedding.plan.added_checksums import with_checksums, without_checksums
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.revision_check import RevisionCheck
from mmembed.embedding.plan.row_files import RowFiles
from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line
from mmembed.paths import Place
from mmembed.store.column_types import with_fields
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.part_file import read_part, read_part_errors
from mmembed.store.provenance import Provenance
from mmembed.store.schema import (
    ERROR_SCHEMA,
    LATER,
    ROW_FIELDS,
    own_columns,
    stored_provenance,
    with_libraries,
)

ROW_COLUMNS = tuple(column.name for column in ROW_FIELDS if column.name not in LATER)
NO_ERRORS = pa.table({f.name: pa.nulls(0, f.type) for f in ERROR_SCHEMA}, schema=ERROR_SCHEMA)


@dataclass(frozen=True)
class PartChange:
    """A part that has to be written again.

    Attributes:
        part: its file.
        rows: which of its rows stay, bool.
        errors: which rows of its errors stay, bool.
        keys: of its rows, uint64.
        error_keys: of its errors, uint64.
    """

    part: Place
    rows: np.ndarray
    errors: np.ndarray
    keys: np.ndarray
    error_keys: np.ndarray


@dataclass
class Changes:
    """The files of a source that a dataset has already, and the parts that do not agree with it.

    Attributes:
        done: sorted keys of the files that need no work, uint64.
        failed: how many of them have an error.
        removed: files whose rows or errors are to be taken out, as they changed or are gone.
        retried: files whose errors are to be taken out, to be tried again.
        upgraded: files whose rows or errors are to be taken out, as they are decoded otherwise now.
        unseen: files that could not be seen now and whose rows or errors stay as they are.
        hashed: files that need no work but a checksum, which they get.
        parts: those that are to be written again.
        libraries: by name, the versions of libraries that decoded the rows there are.
    """

    done: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    failed: int = 0
    removed: int = 0
    retried: int = 0
    upgraded: int = 0
    unseen: int = 0
    hashed: int = 0
    parts: list[PartChange] = field(default_factory=list)
    libraries: dict[str, set[str]] = field(default_factory=dict)

    @property
    def loses_rows(self) -> bool:
        """Whether rows, and not only errors, are to be taken out."""
        return not all(change.rows.all() for change in self.parts)


def find_changes(
    dataset: EmbeddingDataset,
    files: Catalog,
    now: Provenance,
    *,
    retry_errors: bool,
    upgrade: bool,
) -> Changes:
    """Return the files that need no work, and the changes that make the dataset true to its source.

    Rows of other shards are left alone.

    Args:
        dataset: need not exist.
        files: those that the source, or this shard of it, has now.
        now: what the rows that are embedded now are made by.
        retry_errors: files that have an error count as not done.
        upgrade: files whose rows another decode revision made count as not done.

    Raises:
        StoreError: a part can't be read, has to be written again and holds rows of other shards,
            or keeps rows that another decode revision made.
    """
    changes = Changes()
    check = RevisionCheck(now, upgrade)
    seen = np.zeros(len(files) + 1, bool)  # the last stands for what is not there
    below = np.empty(0, np.uint64)  # keys of files below folders that could not be seen
    for part in dataset.parts(missing_ok=True):
        try:
            rows, errors = read_without_vectors(part)
        except FileNotFoundError:
            continue  # another shard took it out just now, as its files changed or are gone
        of_rows, of_errors = RowFiles(part, rows, files), RowFiles(part, errors, files)
        both = np.union1d(of_rows.keys[of_rows.mine], of_errors.keys[of_errors.mine])
        positions = files.positions(both)
        current = both[(positions >= 0) & ~seen[positions]]
        hidden = np.setdiff1d(np.union1d(of_rows.hidden, of_errors.hidden), below)
        below = np.union1d(below, hidden)
        changes.removed += len(both) - len(current) - len(hidden)
        changes.unseen += len(hidden) + len(np.union1d(of_rows.kept, of_errors.kept))
        made = stored_provenance(rows.schema, str(part))
        old_rows = check.differs(made, rows)
        anew = current[:0]
        if upgrade:
            old_errors = check.differs(made, errors) & ~np.isin(of_errors.keys, of_errors.kept)
            anew = np.union1d(of_rows.keys[old_rows], of_errors.keys[old_errors])
            anew = np.setdiff1d(np.intersect1d(current, anew), of_rows.kept)
        again = np.intersect1d(current, of_errors.keys) if retry_errors else current[:0]
        again = np.setdiff1d(np.setdiff1d(again, of_errors.kept), anew)
        changes.upgraded += len(anew)
        changes.retried += len(again)
        current = np.setdiff1d(current, np.union1d(anew, again))
        changes.failed += int(np.isin(current, of_errors.keys).sum())
        staying = np.union1d(current, hidden)
        change = PartChange(
            part,
            of_rows.stays(staying),
            of_errors.stays(staying),
            of_rows.keys,
            of_errors.keys,
        )
        hashed = without_checksums(errors, of_errors.keys, files)
        hashed = np.union1d(hashed, without_checksums(rows, of_rows.keys, files))
        hashed = np.intersect1d(hashed, current)
        changes.hashed += len(hashed)
        old_rows &= change.rows & (of_rows.mine | (not upgrade))
        check.keep(made, rows, change.rows, old_rows)
        stays = change.rows.all() and change.errors.all() and not len(hashed)
        if stays and (of_rows.mine.any() or of_errors.mine.any()):
            mine = of_rows.mine
            stays = not _differ(_kept(rows, mine), of_rows.keys[mine], files)
        if not stays:
            if not (of_rows.mine.all() and of_errors.mine.all()):
                raise StoreError(
                    f"{part}: files in it changed, and it holds files of other shards too. Run "
                    "once over the whole source, or with the number of shards that made it.",
                    advice="shard",
                )
            changes.parts.append(change)
        seen[files.positions(current)] = True
    check.refuse(dataset)
    changes.done, changes.libraries = files.keys[seen[:-1]], check.libraries
    return changes


def apply_changes(
    dataset: EmbeddingDataset, files: Catalog, changes: Changes, schema: pa.Schema
) -> None:
    """Write the parts of ``changes`` again, each whole or not at all.

    Raises:
        StoreError: the disk is full, or the dataset can't be written to.
    """
    for change in changes.parts:
        try:
            _write_again(dataset, change, files, schema)
        except FileNotFoundError:
            continue


def _write_again(
    dataset: EmbeddingDataset, change: PartChange, files: Catalog, schema: pa.Schema
) -> None:
    rows = read_part(change.part, needed=(*ROW_COLUMNS, "embedding"))
    errors = _errors_of(change.part)
    if (len(rows), len(errors)) != (len(change.rows), len(change.errors)):
        return  # a run at the same URL was here in between; the next one looks again
    made = stored_provenance(rows.schema, str(change.part))
    rows, errors = _kept(rows, change.rows), _kept(errors, change.errors)
    if not len(rows) and not len(errors):
        dataset.remove(change.part.name)
        return
    schema = with_libraries(schema, made.libraries if made else None)
    now = _now(rows, change.keys[change.rows], files)
    if files.by_checksum:
        errors = with_checksums(errors, change.error_keys[change.errors], files)
    dataset.commit(change.part.name, _as(schema, rows, now, change.part), errors)


def read_without_vectors(part: Place) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a part without their vectors, and its errors.

    Raises:
        FileNotFoundError: there is no such part.
        StoreError: it can't be read.
    """
    try:
        return read_part(part, leave_out=("embedding",), needed=ROW_COLUMNS), _errors_of(part)
    except StoreError as error:
        cause = error.__context__
        if isinstance(cause, OSError) and cause.errno is not None:  # not its content's fault
            raise
        raise StoreError(
            f"{error}. Remove it and run again: its files are then embedded anew."
        ) from None


def _errors_of(part: Place) -> pa.Table:
    errors = read_part_errors(part.parent, part.name)
    return NO_ERRORS if errors is None else errors


def _now(rows: pa.Table, keys: np.ndarray, files: Catalog) -> pa.Table:
    """Return what the source says of some rows now, beside their vectors."""
    now = files.carried(keys.tolist())
    if files.by_checksum:
        times = pc.coalesce(files.times(keys.tolist()), rows["mtime_ns"])
        checksums = with_checksums(rows, keys, files)["checksum"]
        said = {name: now[name] for name in now.column_names}
        now = pa.table({**said, "mtime_ns": times, "checksum": checksums})
    return now


def _as(schema: pa.Schema, rows: pa.Table, now: pa.Table, part: Place) -> pa.Table:
    """Return the rows with what the source says of them now, with the columns of ``schema``.

    What was not stored yet when they were written is null.
    """
    rows = with_fields(rows)
    lacking = [c for c in schema if c.name in LATER and c.name not in rows.column_names]
    for column in lacking:
        rows = rows.append_column(column, pa.nulls(len(rows), column.type))
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


def _differ(rows: pa.Table, keys: np.ndarray, files: Catalog) -> bool:
    """Return whether the source says other things of some rows now than they say."""
    now = _now(rows, keys, files)
    own = own_columns(rows.column_names)
    said = [n for n in rows.column_names if n not in own or n in now.column_names]
    return set(said) != set(now.column_names) or not rows.select(said).equals(now.select(said))
