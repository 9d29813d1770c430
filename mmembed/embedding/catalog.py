"""The catalog of a source: its files as one walk saw them, and what a run knows of them.

Whatever appears or vanishes while the run is at work, it accounts for the files of its walk. In
memory are 8 bytes a file (more where a manifest carries columns through, or checksums tell files
apart); the rest lies in a temporary file, compressed.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mmembed.embedding.listing import Listing
from mmembed.embedding.narrowing import Shard, checksum
from mmembed.embedding.source_file import File, file_key, reason
from mmembed.errors import StoreError
from mmembed.storage import RemotePath

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
        self._rows: dict[int, int | None] = {}
        self._times: dict[int, int | None] = {}
        self._spool = _Spool()
        self.keys = np.sort(np.fromiter(self._walk(), np.uint64))

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[File]:
        root = self.listing.root
        for path, location, *rest in self._spool:
            if isinstance(root, RemotePath):
                location = RemotePath(root.root, location)
            yield File(path, location, *rest)

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Return where each of ``keys`` stands in :attr:`keys`, -1 if it does not."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        near = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[near] == keys, near, -1)

    def key(
        self, path: str, modality: str | None, size: int | None, state: int | str | None
    ) -> int:
        """Return the key of the file that a row of a dataset is of; arguments as of a row.

        A row of a file that could not be seen now is taken for that file, however it is.
        """
        kind = modality if self.listing.by_modality else None
        if path in self.unseen:
            return file_key(path, kind, None, None)
        return file_key(path, kind, size, state)

    def hides(self, path: str) -> bool:
        """Return whether ``path`` lies below a folder that could not be seen."""
        if self.unseen:
            while path := path.rpartition("/")[0]:
                if path in self.unseen:
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
        block: list[Sequence[Any]] = []
        for file in self.listing:
            self.total += 1
            owned = self.owns is None or self.owns(file.path)
            if owned and self.by_checksum and not file.problem:
                file = _with_checksum(file)
            self.readable += not file.problem
            if file.unseen:
                self.unseen.add(file.path)
            if not owned:
                continue
            key = file.key
            if carries:
                self._rows[key] = file.row
            if self.by_checksum:
                self._times[key] = file.mtime_ns
            where = file.location
            location = where.path if isinstance(where, RemotePath) else where
            block.append((file.path, location, *file[2:]))
            if len(block) == BLOCK_FILES:
                self._spool.write(block)
                block = []
            yield key
        if block:
            self._spool.write(block)


class _Spool:
    """Rows of plain values in a temporary file, in blocks; read back in order."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        block = zlib.compress(json.dumps(rows).encode(), 1)
        try:
            self._file.write(len(block).to_bytes(LENGTH_BYTES, "little") + block)
        except OSError as error:
            folder = tempfile.gettempdir()
            raise StoreError(
                f"{folder}: no room for the list of files: {reason(error)}. Set TMPDIR to a "
                "folder that has some."
            ) from None

    def __iter__(self) -> Iterator[Sequence[Any]]:
        self._file.seek(0)
        while length := self._file.read(LENGTH_BYTES):
            block = self._file.read(int.from_bytes(length, "little"))
            yield from json.loads(zlib.decompress(block))


def _with_checksum(file: File) -> File:
    """Return a file with a hash of its content; unseen if that can't be read now."""
    try:
        return file._replace(checksum=checksum(file.location))
    except Exception as error:  # at a URL, fsspec hands on whatever its packages raise
        problem = f"can't be read: {reason(error)}"
        return file._replace(size=None, mtime_ns=None, problem=problem, unseen=True)
