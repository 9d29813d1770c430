"""Files of a dataset looked for in another source that should hold the same ones.

A file is taken for the same if it has the same path and size, and if its content, where that is
compared, is the same too. Times say nothing: copies have others.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.moved_source import OldSource
from mmembed.embedding.plan.row_files import key_columns
from mmembed.embedding.plan.shard import checksum
from mmembed.media.regions import region_order
from mmembed.media.source_file import File, file_key, unit_name
from mmembed.paths import Place

NEVER_NS = -(1 << 63)
"""A time that no file has: of rows whose file is known to hold something else now."""
SORTED_BY = ("path", "field", "cell", "region", "segment_index")


def drawn(files: Iterable[File], count: int) -> set[str]:
    """Return the names of ``count`` files, or of all if there are fewer.

    Which ones they are depends on nothing but the files' names, and each is as likely as any other.

    Args:
        files: named by their :attr:`~mmembed.media.source_file.File.unit`, in any order.
        count: how many to draw.
    """
    return set(heapq.nsmallest(count, {file.unit for file in files}, key=_ticket))


def _ticket(unit: str) -> bytes:
    return hashlib.blake2b(unit.encode("utf-8", "surrogateescape"), digest_size=16).digest()


class State(IntEnum):
    """A file of the source, as the dataset knows it."""

    NEW = 0
    SAME = 1
    OTHER_SIZE = 2
    OTHER_CONTENT = 3
    UNSEEN = 4
    GONE = 5


class MovedFiles:
    """The files of a dataset, looked for among those of a source.

    Args:
        files: those of the source.

    Attributes:
        by_checksum: how many were compared with a checksum of the dataset.
        by_old_source: how many were compared with the file in the old source.
        differing: how many of those hold something else.
        in_cells: how many items in cells were compared.
        names: of the dataset's files that are not the same, by what they are.
    """

    def __init__(self, files: Catalog) -> None:
        self._files, self._manifest = files, files.listing.source.name
        self.by_checksum = self.by_old_source = self.differing = self.in_cells = 0
        self.names: dict[State, list[str]] = {state: [] for state in State}
        count = len(files)
        keys = np.empty(count, np.uint64)
        self._sizes, self._times = np.full(count, -1), np.full(count, NEVER_NS)
        self._problem = np.zeros(count, bool)
        for number, file in enumerate(files):
            keys[number] = file_key(file.unit, file.field, None, None, file.region)
            self._problem[number] = bool(file.problem)
            if file.size is not None:
                self._sizes[number] = file.size
            if file.mtime_ns is not None:
                self._times[number] = file.mtime_ns
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self._state = np.zeros(count, np.uint8)
        self._times_before = np.full(count, NEVER_NS)
        self._checksums = np.zeros(count, "S32")
        self._looked_into, self._compared = np.zeros(count, bool), np.zeros(count, bool)
        self._absent: set[int] = set()
        self._read_before, self._read_now = ("", 0, b""), ("", b"")

    @property
    def total(self) -> int:
        """Files of the dataset."""
        return int((self._state != State.NEW).sum()) + len(self._absent)

    @property
    def same(self) -> int:
        """Files that are there, with the same size, and not known to hold something else."""
        return int((self._state == State.SAME).sum())

    @property
    def by_size(self) -> int:
        """Files that are taken for the same by their size alone."""
        return int(((self._state == State.SAME) & ~self._compared).sum())

    @property
    def other_time(self) -> int:
        """Files that are the same, and whose time is another."""
        return int(((self._state == State.SAME) & (self._times != self._times_before)).sum())

    @property
    def new(self) -> int:
        """Files of the source that the dataset does not have."""
        return int(((self._state == State.NEW) & ~self._problem).sum())

    def look_for(self, part: Place, table: pa.Table) -> None:
        """Look for the files that rows of a part, or its errors, are of.

        What could not be seen when it was embedded has no size, and is left to the next run.

        Args:
            part: for errors.
            table: of it, without vectors.

        Raises:
            StoreError: its columns are not as mmembed writes them.
        """
        paths, fields, sizes, times, cells, checksums, regions = key_columns(part, table)
        keys, numbers = self._numbers(paths, fields, cells, regions)
        _, firsts = np.unique(keys, return_index=True)
        for row in firsts.tolist():
            if sizes[row] is None:
                continue
            number, key = int(numbers[row]), int(keys[row])
            path = _name(paths[row], cells[row], regions[row])
            if number < 0:
                if key not in self._absent:
                    self._absent.add(key)
                    hidden = self._files.hides(paths[row])
                    self.names[State.UNSEEN if hidden else State.GONE].append(path)
            elif self._state[number] == State.NEW:
                self._checksums[number] = (checksums[row] or "").encode()
                if times[row] is not None:
                    self._times_before[number] = times[row]
                self._mark(number, self._seen(number, paths[row], sizes[row], times[row]), path)

    def rebound(self, part: Place, table: pa.Table) -> pa.Table:
        """Return rows of a part, or its errors, as of the files that are the same in the source.

        They have the times of those files. Rows of a file that is known to hold something else
        have the time ``NEVER_NS``; those of all others that are not the same stay as they are.

        Args:
            part: for errors.
            table: of it; returned itself where nothing is to change.

        Raises:
            StoreError: its columns are not as mmembed writes them.
        """
        paths, fields, _, before, cells, _, regions = key_columns(part, table)
        times = list(before)
        _, numbers = self._numbers(paths, fields, cells, regions)
        for row, number in enumerate(numbers.tolist()):
            if number < 0 or cells[row] is not None:
                continue
            if self._state[number] == State.SAME:
                time = int(self._times[number])
                times[row] = None if time == NEVER_NS else time
            elif self._state[number] == State.OTHER_CONTENT:
                times[row] = NEVER_NS
        if times != before:
            table = _with_column(table, "mtime_ns", pa.array(times, pa.int64()))
        renamed = any(
            cell is not None and path != self._manifest
            for path, cell in zip(paths, cells, strict=True)
        )
        if not renamed:
            return table
        of_items = table["cell"].is_valid()
        table = _with_column(table, "path", pc.if_else(of_items, self._manifest, table["path"]))
        keys = [table[name].to_pylist() for name in SORTED_BY if name in table.column_names]
        if "region" in table.column_names:
            keys[3] = list(map(region_order, keys[3]))
        by_row = [[(key is not None, key) for key in row] for row in zip(*keys, strict=True)]
        return table.take(pa.array(sorted(range(len(table)), key=by_row.__getitem__), pa.int64()))

    def compare(self, old: OldSource | None, sample: int | None = None) -> Iterator[int]:
        """Compare the content of files that have the same size, and yield how many were so far.

        Items in cells are always compared: nothing is read for that.

        Args:
            old: the source that they were moved from; None if it is not there any more.
            sample: how many files to look into; None for all that were not yet.
        """
        names = None if sample is None else drawn(self._unread(), sample)
        done = 0
        for number, file in enumerate(self._files):
            if self._state[number] != State.SAME or self._looked_into[number]:
                continue
            if file.cell is not None:
                self._compared[number] = True
                self.in_cells += 1
                if (file.checksum or "").encode() != self._checksums[number]:
                    self._mark(number, State.OTHER_CONTENT, _name(file.path, file.cell, None))
            elif names is None or file.unit in names:
                self._look_into(number, file, old)
                done += 1
                yield done
            else:
                continue
            self._looked_into[number] = True

    def _unread(self) -> Iterator[File]:
        for number, file in enumerate(self._files):
            if self._state[number] == State.SAME and file.cell is None:
                yield file

    def _look_into(self, number: int, file: File, old: OldSource | None) -> None:
        before = bytes(self._checksums[number])
        by_checksum = bool(before)
        name, time = _name(file.path, None, file.region), int(self._times_before[number])
        if not before and old is not None:
            if self._read_before[:2] != (file.path, time):  # the regions of a file come together
                told = old.checksum(file, None if time == NEVER_NS else time)
                self._read_before = file.path, time, (told or "").encode()
            before = self._read_before[2]
        if not before:
            return
        try:
            if self._read_now[0] != file.path:
                self._read_now = file.path, checksum(file.location).encode()
            now = self._read_now[1]
        except Exception:  # at a URL, fsspec hands on whatever its packages raise
            self._mark(number, State.UNSEEN, name)
            return
        self._compared[number] = True
        self.by_checksum += by_checksum
        self.by_old_source += not by_checksum
        if now != before:
            self.differing += 1
            self._mark(number, State.OTHER_CONTENT, name)

    def _seen(self, number: int, path: str, size: int, time: int | None) -> State:
        if self._problem[number]:
            return State.UNSEEN if path in self._files.unseen else State.GONE
        if self._sizes[number] != size:
            return State.OTHER_SIZE
        if time == NEVER_NS and not self._checksums[number]:
            return State.OTHER_CONTENT
        return State.SAME

    def _mark(self, number: int, state: State, name: str) -> None:
        self._state[number] = state
        if state != State.SAME:
            self.names[state].append(name)

    def _numbers(
        self,
        paths: list[str],
        fields: list[str | None],
        cells: list[str | None],
        regions: list[str | None],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a key of the file of each row, and its number in the listing, -1 if not there."""
        if not self._files.listing.by_field:
            fields = [None] * len(fields)
        names = (
            path if c is None else self._manifest for path, c in zip(paths, cells, strict=True)
        )
        rows = zip(map(unit_name, names, cells), fields, regions, strict=True)
        keys = np.array(
            [file_key(unit, field, None, None, region) for unit, field, region in rows], np.uint64
        )
        if not len(self._keys):
            return keys, np.full(len(keys), -1)
        near = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return keys, np.where(self._keys[near] == keys, self._order[near], -1)


def _name(path: str, cell: str | None, region: str | None) -> str:
    """Return how a file, an item in a cell, or a region of a file is named to the user."""
    return path + ("" if cell is None else f": {cell}") + ("" if region is None else f"#{region}")


def _with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    number = table.schema.get_field_index(name)
    return table.set_column(number, table.schema.field(name).with_type(column.type), column)
