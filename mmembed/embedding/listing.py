"""What there is to embed: the files of a folder, or the cells of a manifest.

A listing can be walked more than once and always comes in the same order; it opens no file and
holds no file's content. It knows nothing of spaces or of what was embedded before.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from mmembed.errors import ManifestError
from mmembed.modality import MODALITIES, Modality
from mmembed.storage import Place, RemotePath

MEDIA: tuple[Modality, ...] = tuple(m for m in MODALITIES if m != "text")
RENAMED = {"id": "sample_id"}
KEY_BITS = (1 << 64) - 1


class File(NamedTuple):
    """One file to embed; each ends up as rows or as one error.

    Attributes:
        path: POSIX path relative to the source's root, as it stands in the table.
        location: what to open.
        modality: what a manifest says it is; None to find out by its content.
        size: in bytes; None if it could not be asked.
        mtime_ns: time of the last change, in nanoseconds.
        row: its row in the manifest, if there is one.
        problem: why it can't be read at all.
        checksum: hash of its content, where that was asked for.
    """

    path: str
    location: str | RemotePath
    modality: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    row: int | None = None
    problem: str = ""
    checksum: str | None = None

    @property
    def state(self) -> int | str | None:
        """What tells whether the file changed: its checksum, else the time of its last change."""
        return self.mtime_ns if self.checksum is None else self.checksum

    @property
    def key(self) -> int:
        """A hash of all that tells whether this file was embedded before, 64 bits.

        Like any ``hash``, it holds for one process.
        """
        return file_key(self.path, self.modality, self.size, self.state)

    @property
    def digest(self) -> bytes:
        """What :attr:`key` stands for, as a hash that is the same everywhere, 16 bytes."""
        text = "\0".join((self.path, self.modality or "", str(self.size), str(self.state)))
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def file_key(path: str, modality: str | None, size: int | None, state: int | str | None) -> int:
    """Return :attr:`File.key` of a row's columns.

    Args:
        path: as in the table.
        modality: None where a folder was listed.
        size: in bytes.
        state: as :attr:`File.state`.
    """
    return hash((path, modality, size, state)) & KEY_BITS


class Listing(Protocol):
    """The files of a source, always in the same order.

    Attributes:
        root: what paths are relative to.
        by_modality: whether the source says what each file is to be embedded as.
        hidden: number of names skipped in the last walk.
        repeated: number of cells that name a file again.
    """

    root: Place
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


class _FolderOfMedia:
    """What a listing of a folder is, wherever the folder lies: no manifest says anything."""

    by_modality = False
    repeated = 0
    hidden = 0

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return no columns for some rows."""
        return pa.table({"_": pa.nulls(len(rows))}).select([])

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through: a folder has none."""
        return {}


class FolderListing(_FolderOfMedia):
    """All files below a folder, sorted by name in each folder; what they are shows on opening.

    Names that start with a dot are skipped, and so is the dataset itself, should it lie inside.

    Attributes:
        root: what paths are relative to.
        hidden: number of names skipped in the last walk.
    """

    def __init__(self, root: Path, out: Place) -> None:
        self.root: Place = root
        self._out = os.path.realpath(out) if isinstance(out, Path) else None

    def __iter__(self) -> Iterator[File]:
        self.hidden = 0
        return self._walk(str(self.root), "", ())

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


class RemoteListing(_FolderOfMedia):
    """All files below a URL, as :class:`FolderListing`; one folder is listed at a time."""

    def __init__(self, root: RemotePath, out: Place) -> None:
        self.root: Place = root
        self._top, self._out = root, out

    def __iter__(self) -> Iterator[File]:
        self.hidden = 0
        return self._walk(self._top, "")

    def _walk(self, folder: RemotePath, relative: str) -> Iterator[File]:
        try:
            entries = folder.entries()
        except OSError as error:
            reason = str(error).splitlines()[0]
            yield File(printable(relative), folder, problem=f"can't be listed: {reason}")
            return
        for entry in entries:
            name = entry.base_name
            path, location = (f"{relative}/{name}" if relative else name), folder / name
            if name.startswith("."):
                self.hidden += 1
            elif entry.type.name != "Directory":
                yield remote_status(printable(path), location, entry)
            elif location != self._out:
                yield from self._walk(location, path)


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

    def __init__(self, root: Place, samples: pa.Table) -> None:
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
            if isinstance(self.root, RemotePath):
                location = self.root / path
                yield remote_status(path, location, location.info(), modality, row)
            else:
                yield status(path, os.path.join(self.root, path), modality, row)

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return the carried columns of some rows of the manifest."""
        return self._kept.take(pa.array(rows, pa.int64()))

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through, with their types."""
        return {field.name: field.type for field in self._kept.schema}


def list_source(source: Place, out: Place) -> Listing:
    """Return the listing of a folder, or of a manifest.

    Raises:
        ManifestError: there is no such source, or the manifest can't be read.
    """
    if source.is_dir():
        if isinstance(source, RemotePath):
            return RemoteListing(source, out)
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


def remote_status(
    path: str,
    location: RemotePath,
    found: Any,
    modality: str | None = None,
    row: int | None = None,
) -> File:
    """Return a file at a URL of which ``found`` (a ``pyarrow.fs.FileInfo``) is known."""
    if found.type.name != "File":
        reason = "no such file" if found.type.name == "NotFound" else "is not a regular file"
        return File(path, location, modality, row=row, problem=reason)
    return File(path, location, modality, found.size, found.mtime_ns, row)


def printable(path: str) -> str:
    """Return ``path`` as valid UTF-8; bytes that are not come out as ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
