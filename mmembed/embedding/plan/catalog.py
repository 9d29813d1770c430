"""The catalog of a source: its files as one walk saw them, and what a run knows of them.

Whatever appears or vanishes while the run is at work, it accounts for the files of its walk. In
memory are 8 bytes a file (more where a manifest carries columns through, or checksums tell files
apart); the rest lies in a temporary file, compressed.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

import numpy as np
import pyarrow as pa

from mmembed.embedding.plan.listing import Listing
from mmembed.embedding.plan.shard import Shard, checksum
from mmembed.errors import StoreError
from mmembed.errors.plain_text import reason
from mmembed.media.source_file import LINK_TO_NOTHING, File, file_key
from mmembed.paths import Place, RemotePath

BLOCK_FILES = 4096
MEMORY_BYTES = 1 << 20  # a temporary file that is smaller stays in memory
LENGTH_BYTES = 4


class Catalog:
    """The files of a source, or of one shard of it, as one walk saw them; the walk is made here.

    Iterating gives the files again, in the order of the listing.

    Args:
        listing: of the source.
        shard: which share of its files to keep; None for all.
        by_checksum: tell files apart by their content, which is read here, once.

    Attributes:
        keys: :attr:`File.key` of all files, sorted, uint64 ``(files,)``.
        total: number of files of the whole source, whatever the shard.
        readable: how many of them seem to be there and can be opened.
        unseen: paths of the whole source that could not be seen, of files and of folders.

    Raises:
        ManifestError: the source can't be listed.
        StoreError: there is no room for the temporary file.
    """

    def __init__(
        self, listing: Listing, shard: Shard | None = None, by_checksum: bool = False
    ) -> None:
        self.listing, self.by_checksum = listing, by_checksum
        self.owns: Callable[[str], bool] | None = None if shard is None else shard.owns
        self.total = self.readable = 0
        self.unseen: set[str] = set()
        self._closed: set[str] = set()  # nothing below these can be seen
        self._rows: dict[int, int | None] = {}
        self._times: dict[int, int | None] = {}
        self._files = _FileList(listing.root)
        self.keys = np.sort(np.fromiter(self._walk(), np.uint64))

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[File]:
        return iter(self._files)

    def positions(self, keys: np.ndarray) -> np.ndarray:
        """Return the position of each of ``keys`` in :attr:`keys`, -1 if it is not there."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        near = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[near] == keys, near, -1)

    def keys_of(
        self,
        units: Sequence[str],
        fields: Sequence[str | None],
        sizes: Sequence[int | None],
        states: Sequence[int | str | None],
        regions: Sequence[str | None],
    ) -> np.ndarray:
        """Return the key of the file that each row of a dataset is of, uint64 ``(rows,)``.

        A row of a file that could not be seen now is taken for that file, however it is.
        """
        if not self.listing.by_field:
            fields = [None] * len(units)
        if self.unseen:
            seen = [unit not in self.unseen for unit in units]
            sizes = [sizes[i] if is_seen else None for i, is_seen in enumerate(seen)]
            states = [states[i] if is_seen else None for i, is_seen in enumerate(seen)]
        rows = zip(units, fields, sizes, states, regions, strict=True)
        return np.array([file_key(*row) for row in rows], np.uint64)

    @property
    def hides_any(self) -> bool:
        """Whether :meth:`hides` can hold of any path."""
        return bool(self._closed)

    def hides(self, path: str) -> bool:
        """Return whether ``path`` lies below what could not be seen, or below a link to nothing."""
        if self._closed:
            while path := path.rpartition("/")[0]:
                if path in self._closed:
                    return True
        return False

    def carried(self, keys: Sequence[int]) -> pa.Table:
        """Return the carried columns of some files of a manifest."""
        return self.listing.carried([self._rows.get(key) for key in keys])

    def times(self, keys: Sequence[int]) -> pa.Array:
        """Return the time of the last change of some files, null where it is not known."""
        return pa.array([self._times.get(key) for key in keys], pa.int64())

    def _walk(self) -> Iterator[int]:
        carries = bool(self.listing.carried_types)
        block: list[File] = []
        last: File | None = None
        for file in self.listing:
            self.total += 1
            owned = self.owns is None or self.owns(file.unit)
            if owned and self.by_checksum and not file.problem and file.cell is None:
                file = last = _with_checksum(file, last)
            self.readable += not file.problem
            if file.unseen:
                self.unseen.add(file.path)
            if file.unseen or file.problem == LINK_TO_NOTHING:
                self._closed.add(file.path)
            if not owned:
                continue
            key = file.key
            if carries:
                self._rows[key] = file.row
            if self.by_checksum:
                self._times[key] = file.mtime_ns
            block.append(file)
            if len(block) == BLOCK_FILES:
                self._files.write(block)
                block = []
            yield key
        if block:
            self._files.write(block)


class _FileList:
    """Files of a source in a temporary file, in blocks of columns; read back in order.

    A location that is the path below the root is not written, nor a value as often as it repeats.
    """

    def __init__(self, root: Place) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115
        self._root = root
        top = root.path if isinstance(root, RemotePath) else str(root)
        self._prefix = os.path.join(top, "") if top else ""

    def write(self, files: Sequence[File]) -> None:
        paths, locations, *others = zip(*files, strict=True)
        texts = [one.path if isinstance(one, RemotePath) else one for one in locations]
        below = [
            None if text == self._prefix + path else text
            for path, text in zip(paths, texts, strict=True)
        ]
        columns = [
            column[0] if column.count(column[0]) == len(column) else column
            for column in (paths, below, *others)
        ]
        block = zlib.compress(json.dumps([len(files), columns]).encode(), 1)
        try:
            self._file.write(len(block).to_bytes(LENGTH_BYTES, "little") + block)
        except OSError as error:
            folder = tempfile.gettempdir()
            raise StoreError(
                f"{folder}: no room for the list of files: {reason(error)}. Set TMPDIR to a "
                "folder that has some."
            ) from None

    def __iter__(self) -> Iterator[File]:
        self._file.seek(0)
        while length := self._file.read(LENGTH_BYTES):
            block = self._file.read(int.from_bytes(length, "little"))
            count, columns = json.loads(zlib.decompress(block))
            columns = [one if isinstance(one, list) else repeat(one, count) for one in columns]
            for path, below, *others in zip(*columns, strict=True):
                text = self._prefix + path if below is None else below
                remote = isinstance(self._root, RemotePath)
                yield File(path, RemotePath(self._root.root, text) if remote else text, *others)


def _with_checksum(file: File, last: File | None) -> File:
    """Return a file with a hash of its content; unseen if that can't be read now.

    The regions of one file follow each other, and ``last`` is the file before.
    """
    if last is not None and last.path == file.path:
        return file._replace(
            size=last.size,
            mtime_ns=last.mtime_ns,
            problem=last.problem,
            checksum=last.checksum,
            unseen=last.unseen,
        )
    try:
        return file._replace(checksum=checksum(file.location))
    except Exception as error:  # at a URL, fsspec hands on whatever its packages raise
        problem = f"can't be read: {reason(error)}"
        return file._replace(size=None, mtime_ns=None, problem=problem, unseen=True)
