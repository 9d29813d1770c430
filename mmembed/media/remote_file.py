"""A file at a URL that is read at several places, as decoders do, each part of it fetched once."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

from mmembed.paths import RemotePath

WHOLE_BYTES = 8 << 20  # smaller files are fetched in one request
BLOCK_BYTES = 1 << 20  # larger ones in ranges of this,
BLOCKS = 16  # of which so many are kept
READ_BYTES = 64 << 10


class RemoteFile:
    """A file at a URL that is read at several places, each part of it fetched once.

    Attributes:
        name: its URL.
        size_bytes: how long it is.

    Raises:
        OSError: no such file, or it can't be read.
    """

    def __init__(self, where: RemotePath) -> None:
        self.name = str(where)
        self._file = where.open()
        self.size_bytes: int = self._file.size()
        small = self.size_bytes <= WHOLE_BYTES
        self._block_bytes = max(1, self.size_bytes) if small else BLOCK_BYTES
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, count: int = -1) -> bytes:
        """Return up to ``count`` bytes from ``offset`` on; all of them if it is negative."""
        end = self.size_bytes if count < 0 else min(offset + count, self.size_bytes)
        parts = []
        while offset < end:
            number, begin = divmod(offset, self._block_bytes)
            parts.append(self._block(number)[begin : begin + end - offset])
            offset += len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Close the file; nothing can be read after that."""
        self._file.close()

    def file(self) -> IO[bytes]:
        """Return a file object, at the beginning."""
        return part_of_file(self.read_at, 0, self.size_bytes)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._file.seek(number * self._block_bytes)
            self._blocks[number] = self._file.read(self._block_bytes)
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


def part_of_file(read_at: Callable[[int, int], bytes], begin: int, end: int) -> IO[bytes]:
    """Return a file object of the bytes ``[begin, end)`` of a file that is read at any offset."""
    return io.BufferedReader(_Reader(read_at, begin, end), READ_BYTES)


class _Reader(io.RawIOBase):
    """A part of a file; a seek before the beginning goes there."""

    def __init__(self, read_at: Callable[[int, int], bytes], begin: int, end: int) -> None:
        self._read_at, self._begin, self._size, self._place = read_at, begin, end - begin, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = max(0, base[whence] + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        count = max(0, min(len(buffer), self._size - self._place))
        part = self._read_at(self._begin + self._place, count)
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)
