"""The files of a folder, on disk or at a URL, in one walk; none is opened.

A folder that can't be listed comes as one file with a problem, marked as unseen: what lies below
it may be there all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Generic, TypeVar

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import reason
from mmembed.media.file_names import NameFilter, PassedBy, is_hidden
from mmembed.media.source_file import (
    LINK_ABOVE,
    NOT_THERE,
    File,
    printable,
    remote_status,
    status,
    unseen_file,
)
from mmembed.paths import Place, RemotePath

Location = TypeVar("Location", str, RemotePath)


def is_folder(source: Place) -> bool:
    """Return whether a source is a folder; a manifest, if it is none.

    Raises:
        ManifestError: there is no such source, or it can't be looked at.
    """
    try:
        if source.is_dir():
            return True
        there = source.exists()
    except Exception as error:  # fsspec hands on whatever its packages raise
        raise ManifestError(f"{source}: can't be looked at: {reason(error)}") from None
    if not there:
        raise ManifestError(f"{source}: no such folder or manifest")
    return False


def walk(
    source: Place, skipped: Place | None = None, names: NameFilter | None = None
) -> FolderWalk | RemoteWalk:
    """Return a walk through a folder, on disk or at a URL.

    Args:
        source: the folder.
        skipped: a folder that is left out, should it lie inside.
        names: globs of what is walked; None for all.
    """
    if isinstance(source, RemotePath):
        return RemoteWalk(source, skipped, names)
    return FolderWalk(source, skipped, names)


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


class _Walk(Generic[Location]):
    """A walk through a folder, wherever it lies.

    Attributes:
        passed_by: number of names that the last walk passed by.
    """

    def __init__(self, root: Place, top: Folder[Location], names: NameFilter | None) -> None:
        self._names = names or NameFilter()
        self.passed_by = PassedBy(names=self._names)
        self._root: Place = root
        self._top: Folder[Location] = top

    def __iter__(self) -> Iterator[File]:
        self.passed_by = PassedBy(names=self._names)
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
            raise ManifestError(f"{self._root}: {problem}") from None
        return File(printable(folder.path), folder.location, problem=problem, unseen=True)


class FolderWalk(_Walk[str]):
    """All files below a folder, sorted by name in each folder; what they are shows on opening.

    Names that start with a dot, the system's files and folders, and sidecars are passed by.

    Args:
        root: the folder; paths are relative to it.
        skipped: a folder that is left out, should it lie inside.
        names: globs of what is walked; None for all.

    Raises:
        ManifestError: (in a walk) the folder itself can't be listed.
    """

    def __init__(
        self, root: Path, skipped: Place | None = None, names: NameFilter | None = None
    ) -> None:
        super().__init__(root, Folder("", str(root), os.path.realpath(root)), names)
        self._skipped = os.path.realpath(skipped) if isinstance(skipped, Path) else None

    def _entries(self, folder: Folder[str]) -> Iterator[File | Folder[str]]:
        try:
            named = sorted(os.scandir(folder.location), key=attrgetter("name"))
        except OSError as error:
            yield self._unlisted(folder, error)
            return
        above = f"{folder.path}/" if folder.path else ""
        for entry in named:
            path = above + entry.name
            try:
                is_folder = not is_hidden(path) and entry.is_dir()
                inside = self._inside(entry, path, folder) if is_folder else None
            except OSError as error:
                yield unseen_file(printable(path), entry.path, error)
                continue
            if self.passed_by.passes(path, is_folder=is_folder):
                continue
            if inside is None:
                file = status(printable(path), entry.path)
                # its folder named it just now: that it is gone for good is for the next run to see
                yield file._replace(unseen=True) if file.problem == NOT_THERE else file
            elif inside.real != self._skipped:
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
                return File(printable(folder.path), folder.location, problem=LINK_ABOVE)
            above = above.above
        return folder


class RemoteWalk(_Walk[RemotePath]):
    """All files below a URL, as :class:`FolderWalk`; one folder is listed at a time."""

    def __init__(
        self, root: RemotePath, skipped: Place | None = None, names: NameFilter | None = None
    ) -> None:
        super().__init__(root, Folder("", root), names)
        self._skipped = skipped

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
            is_folder = entry.type.name == "Directory"
            if self.passed_by.passes(path, is_folder=is_folder):
                continue
            if not is_folder:
                yield remote_status(printable(path), location, entry)
            elif location != self._skipped:
                yield Folder(path, location, "", folder)
