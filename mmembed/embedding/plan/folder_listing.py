"""The files of a folder, on disk or at a URL, in one walk.

A folder that can't be listed comes as one file with a problem, marked as unseen: what lies below
it may be there all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa

from mmembed.embedding.plan.source_file import (
    NOT_THERE,
    File,
    printable,
    remote_status,
    status,
    unseen_file,
)
from mmembed.errors import ManifestError
from mmembed.errors.plain_text import reason
from mmembed.paths import Place, RemotePath

Location = TypeVar("Location", str, RemotePath)


@dataclass(frozen=True)
class Folder(Generic[Location]):
    """A folder to walk into.

    Attributes:
        path: relative to the source's root; empty for the root itself.
        location: what to list.
        real: its path without links; empty at a URL, where there are none.
        above: the folder that it was found in.
    """

    path: str
    location: Location
    real: str = ""
    above: Folder[Location] | None = None


class _FolderOfMedia(Generic[Location]):
    """A folder as a source, wherever it lies: no manifest says anything."""

    by_modality = False
    repeated = 0
    hidden = 0

    def __init__(self, root: Place, top: Folder[Location]) -> None:
        self.source: Place = root
        self.root: Place = root
        self._top: Folder[Location] = top

    def __iter__(self) -> Iterator[File]:
        self.hidden = 0
        walks = [self._entries(self._top)]
        while walks:
            for entry in walks[-1]:
                if isinstance(entry, Folder):
                    walks.append(self._entries(entry))
                    break
                yield entry
            else:
                walks.pop()

    def _entries(self, folder: Folder[Location]) -> Iterator[File | Folder[Location]]:
        """Yield what lies in a folder, by name."""
        raise NotImplementedError

    def _unlisted(self, folder: Folder[Location], error: Exception) -> File:
        problem = f"can't be listed: {reason(error)}"
        if folder.above is None:
            raise ManifestError(f"{self.root}: {problem}") from None
        return File(printable(folder.path), folder.location, problem=problem, unseen=True)

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return no columns for some rows."""
        return pa.table({"_": pa.nulls(len(rows))}).select([])

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through: a folder has none."""
        return {}


class FolderListing(_FolderOfMedia[str]):
    """All files below a folder, sorted by name in each folder; what they are shows on opening.

    Names that start with a dot are skipped, and so is the dataset itself, should it lie inside.

    Attributes:
        root: what paths are relative to.
        hidden: number of names skipped in the last walk.
    """

    def __init__(self, root: Path, out: Place) -> None:
        super().__init__(root, Folder("", str(root), os.path.realpath(root)))
        self._out = os.path.realpath(out) if isinstance(out, Path) else None

    def _entries(self, folder: Folder[str]) -> Iterator[File | Folder[str]]:
        try:
            named = sorted(os.scandir(folder.location), key=attrgetter("name"))
        except OSError as error:
            yield self._unlisted(folder, error)
            return
        above = f"{folder.path}/" if folder.path else ""
        for entry in named:
            if entry.name.startswith("."):
                self.hidden += 1
                continue
            path = above + entry.name
            try:
                inside = self._inside(entry, path, folder) if entry.is_dir() else None
            except OSError as error:
                yield unseen_file(printable(path), entry.path, error)
                continue
            if inside is None:
                file = status(printable(path), entry.path)
                # its folder named it just now: that it is gone for good is for the next run to see
                yield file._replace(unseen=True) if file.problem == NOT_THERE else file
            elif inside.real != self._out:
                yield self._unlooped(inside) if entry.is_symlink() else inside

    def _inside(self, entry: os.DirEntry[str], path: str, folder: Folder[str]) -> Folder[str]:
        link = entry.is_symlink()
        real = os.path.realpath(entry.path) if link else os.path.join(folder.real, entry.name)
        return Folder(path, entry.path, real, folder)

    def _unlooped(self, folder: Folder[str]) -> File | Folder[str]:
        """Return a folder that a link names, or an error if it is one that we are in."""
        above = folder.above
        while above is not None:
            if above.real == folder.real:
                problem = "is a link to a folder above it"
                return File(printable(folder.path), folder.location, problem=problem)
            above = above.above
        return folder


class RemoteListing(_FolderOfMedia[RemotePath]):
    """All files below a URL, as :class:`FolderListing`; one folder is listed at a time."""

    def __init__(self, root: RemotePath, out: Place) -> None:
        super().__init__(root, Folder("", root))
        self._out = out

    def _entries(self, folder: Folder[RemotePath]) -> Iterator[File | Folder[RemotePath]]:
        try:
            entries = folder.location.entries()
        except Exception as error:  # fsspec hands on whatever its packages raise
            yield self._unlisted(folder, error)
            return
        for entry in entries:
            name = entry.base_name
            path = f"{folder.path}/{name}" if folder.path else name
            location = folder.location / name
            if name.startswith("."):
                self.hidden += 1
            elif entry.type.name != "Directory":
                yield remote_status(printable(path), location, entry)
            elif location != self._out:
                yield Folder(path, location, "", folder)
