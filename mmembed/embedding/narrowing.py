"""Views of a listing: the files of one shard, or every file with a checksum of its content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mmembed.embedding.listing import File, Listing
from mmembed.errors import ConfigError
from mmembed.storage import Place, RemotePath

BLOCK_BYTES = 1 << 20


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
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"--shard {text}: give i/n, such as 1/4 to 4/4 on four machines")
        return cls(int(found[1]), int(found[2]))

    def owns(self, path: str) -> bool:
        """Return whether the file at ``path`` is in this share."""
        digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index - 1

    def __str__(self) -> str:
        """Return ``i/n``."""
        return f"{self.index}/{self.count}"


class _View:
    """All of a listing; a view overrides the walk."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.root: Place = listing.root
        self.by_modality, self.repeated = listing.by_modality, listing.repeated
        self.hidden = 0

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return the carried columns of some rows of a manifest."""
        return self._listing.carried(rows)

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through, with their types."""
        return self._listing.carried_types


class ShardListing(_View):
    """The files of one shard."""

    def __init__(self, listing: Listing, shard: Shard) -> None:
        super().__init__(listing)
        self.shard = shard

    def __iter__(self) -> Iterator[File]:
        for file in self._listing:
            if self.shard.owns(file.path):
                yield file
        self.hidden = self._listing.hidden


class ChecksumListing(_View):
    """Every file with a hash of its content, read once however often the listing is walked.

    A file that can't be read has a problem instead.
    """

    def __init__(self, listing: Listing) -> None:
        super().__init__(listing)
        self._known: dict[int, str] = {}

    def __iter__(self) -> Iterator[File]:
        for file in self._listing:
            if file.problem:
                yield file
                continue
            try:
                if file.key not in self._known:
                    self._known[file.key] = checksum(file.location)
                yield file._replace(checksum=self._known[file.key])
            except OSError as error:
                yield file._replace(problem=f"can't be read: {error.strerror or error}")
        self.hidden = self._listing.hidden


def checksum(location: str | RemotePath) -> str:
    """Return a hash of a file's content, 32 hexadecimal digits (BLAKE2b, RFC 7693).

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with location.open() if isinstance(location, RemotePath) else open(location, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
