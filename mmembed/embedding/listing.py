"""What there is to embed: the files of a folder, or the cells of a manifest.

A listing can be walked more than once and always comes in the same order; it opens no file and
holds no file's content. It knows nothing of spaces or of what was embedded before.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mmembed.errors import ManifestError
from mmembed.modality import MODALITIES, Modality

MEDIA: tuple[Modality, ...] = tuple(m for m in MODALITIES if m != "text")
RENAMED = {"id": "sample_id"}


@dataclass(frozen=True)
class File:
    """One file to embed; each ends up as rows or as one error.

    Attributes:
        path: POSIX path relative to the source's root, as it stands in the table.
        location: what to open.
        modality: what a manifest says it is; None to find out by its content.
        size: in bytes; None if it could not be asked.
        mtime_ns: time of the last change, in nanoseconds.
        row: its row in the manifest, if there is one.
        checksum: hash of its content, where that was asked for.
        problem: why it can't be read at all.
    """

    path: str
    location: str
    modality: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    row: int | None = None
    problem: str = ""
    checksum: str | None = None

    @property
    def key(self) -> int:
        """A hash of all that tells whether this file was embedded before, 64 bits."""
        state = self.mtime_ns if self.checksum is None else self.checksum
        return file_key(self.path, self.modality, self.size, state)


def file_key(path: str, modality: str | None, size: int | None, state: int | str | None) -> int:
    """Return :attr:`File.key` of a row's columns.

    Args:
        path: as in the table.
        modality: None where a folder was listed.
        size: in bytes.
        state: the checksum, where there is one, else the time of the last change.
    """
    text = "\0".join((path, modality or "", str(size), str(state)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Listing(Protocol):
    """The files of a source, always in the same order.

    Attributes:
        root: what paths are relative to.
        by_modality: whether the source says what each file is to be embedded as.
        hidden: number of names skipped in the last walk.
        repeated: number of cells that name a file again.
    """

    root: Path
    by_modality: bool
    hidden: int
    repeated: int

    def __iter__(self) -> Iterator[File]:
        """Walk the files; no file is opened."""

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return the carried columns of some rows of a manifest."""

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through, with their types."""


class FolderListing:
    """All files below a folder, sorted by name in each folder; what they are shows on opening.

    Names that start with a dot are skipped, and so is the dataset itself, should it lie inside.

    Attributes:
        root: what paths are relative to.
        hidden: number of names skipped in the last walk.
    """

    by_modality = False
    repeated = 0

    def __init__(self, root: Path, out: Path) -> None:
        self.root, self._out = root, os.path.realpath(out)
        self.hidden = 0

    def __iter__(self) -> Iterator[File]:
        self.hidden = 0
        return self._walk(str(self.root), "", ())

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return no columns for some rows."""
        return pa.table({"_": pa.nulls(len(rows))}).select([])

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through: a folder has none."""
        return {}

    def _walk(self, folder: str, relative: str, above: tuple[str, ...]) -> Iterator[File]:
        real = os.path.realpath(folder)
        if real in above:
            yield File(printable(relative), folder, problem="is a link to a folder above it")
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield File(printable(relative), folder, problem=f"can't be listed: {error.strerror}")
            return
        for entry in entries:
            path = f"{relative}/{entry.name}" if relative else entry.name
            if entry.name.startswith("."):
                self.hidden += 1
            elif not entry.is_dir():
                yield status(printable(path), entry.path)
            elif os.path.realpath(entry.path) != self._out:
                yield from self._walk(entry.path, path, (*above, real))


class ManifestListing:
    """The media cells of a manifest, sorted by path; a file in several rows comes once.

    Args:
        root: what the manifest's paths are relative to.
        samples: a row a sample: columns ``image``, ``audio``, ``video`` with paths, and others,
            which are carried through to the rows of their files (``id`` as ``sample_id``).

    Attributes:
        repeated: number of cells that name a file again; the first row's columns are kept.
    """

    by_modality = True
    hidden = 0

    def __init__(self, root: Path, samples: pa.Table) -> None:
        self.root = root
        kept = [name for name in samples.column_names if name not in MEDIA]
        self._kept = samples.select(kept).rename_columns([RENAMED.get(n, n) for n in kept])
        cells = []
        for modality in MEDIA:
            if modality in samples.column_names:
                paths = samples[modality].to_pylist()
                cells += [(Path(p).as_posix(), modality, row) for row, p in enumerate(paths) if p]
        cells.sort()
        self._cells = [c for i, c in enumerate(cells) if i == 0 or c[:2] != cells[i - 1][:2]]
        self.repeated = len(cells) - len(self._cells)

    def __iter__(self) -> Iterator[File]:
        for path, modality, row in self._cells:
            yield status(path, os.path.join(self.root, path), modality, row)

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return the carried columns of some rows of the manifest."""
        return self._kept.take(pa.array(rows, pa.int64()))

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through, with their types."""
        return {field.name: field.type for field in self._kept.schema}


def list_source(source: Path, out: Path) -> Listing:
    """Return the listing of a folder, or of a manifest.

    Raises:
        ManifestError: there is no such source, or the manifest can't be read.
    """
    if source.is_dir():
        return FolderListing(source, out)
    if not source.exists():
        raise ManifestError(f"{source}: no such folder or manifest")
    from mmembed.data.manifest import read_manifest

    return ManifestListing(source.parent, read_manifest(source))


def status(path: str, location: str, modality: str | None = None, row: int | None = None) -> File:
    """Return the file with its size and time, or with the problem of asking for them."""
    try:
        found = os.stat(location)
    except OSError as error:
        reason = "is a link to nothing" if os.path.islink(location) else f"{error.strerror}"
        if isinstance(error, FileNotFoundError) and not os.path.islink(location):
            reason = "no such file"
        return File(path, location, modality, row=row, problem=reason)
    problem = "" if stat.S_ISREG(found.st_mode) else "is not a regular file"
    return File(path, location, modality, found.st_size, found.st_mtime_ns, row, problem)


def printable(path: str) -> str:
    """Return ``path`` as valid UTF-8; bytes that are not come out as ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
