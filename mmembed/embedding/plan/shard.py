"""Shards of a source, by the paths of its files; checksums of their content."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from mmembed.errors import ConfigError
from mmembed.paths import RemotePath

HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` shares of a source, counted from 1.

    A file's share depends on its path alone, so that all spans, labels and later changes of a
    file stay with it, and no two shares have a file in common.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``, such as ``1/4``.

        Raises:
            ConfigError: not of that form, or ``i`` is not one of 1 to ``n``.
        """
        numbers = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
            raise ConfigError("give i/n, such as 1/4 to 4/4 on four machines", "shard", text)
        return cls(int(numbers[1]), int(numbers[2]))

    def owns(self, path: str) -> bool:
        """Return whether the file at ``path`` is in this share."""
        digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index - 1

    def __str__(self) -> str:
        """Return ``i/n``."""
        return f"{self.index}/{self.count}"


def checksum(location: str | RemotePath) -> str:
    """Return a hash of a file's content, 32 hexadecimal digits (BLAKE2b, RFC 7693).

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with location.open() if isinstance(location, RemotePath) else open(location, "rb") as file:
        while block := file.read(HASHED_BYTES):
            digest.update(block)
    return digest.hexdigest()
