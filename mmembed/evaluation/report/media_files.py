"""Media files that a page may show: regular files inside one folder, and nothing of the network.

A dataset may come from a stranger, and a page is passed on. So the dataset's word opens a folder of
this machine only, and no path leads out of it; another folder, or a URL, is opened by the user's.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Literal

from mmembed.evaluation.data_checks.data_fault import counted
from mmembed.paths import Place, RemotePath, place

Reason = Literal["nowhere", "remote", "outside", "gone", "irregular", "broken"]
REASONS: dict[Reason, str] = {
    "nowhere": "the dataset names no folder of this machine; name that of its media to show them",
    "remote": "the source is at a URL, which is not asked; name the folder of media to show them",
    "outside": "outside the source; name a folder of media that they are in",
    "gone": "not where they were embedded from; name the folder of media that they are in now",
    "irregular": "no regular file",
    "broken": "can't be read or decoded",
}
OF_MEDIA: dict[Reason, str] = {
    "outside": "outside of the folder of media that was named",
    "gone": "not in the folder of media that was named",
}


class MediaFiles:
    """The media of a dataset, as far as a page may show them.

    Args:
        source: the folder, manifest or URL that the dataset says it was made from; ``""`` if it
            says none.
        media: the folder or URL that the user says the media are in; None to go by ``source``,
            if that is on this machine. Paths are relative to it; a path that is not, but leads
            into it from ``source``, or is absolute, is found as well.

    Raises:
        ConfigError: no file system is known for the URL of ``media``.
    """

    def __init__(self, source: str = "", media: str | Path | None = None) -> None:
        self._source = _local(source)
        self._reasons = REASONS if media is None else REASONS | OF_MEDIA
        self._root: Place | Reason
        if media is not None:
            self._root = place(media)
        else:
            self._root = self._source or ("remote" if "://" in source else "nowhere")
        self._real = os.path.realpath(self._root) if isinstance(self._root, Path) else ""

    def find(self, path: str) -> Place | Reason:
        """Return the file that a path of the dataset names, or why it is not shown."""
        if isinstance(self._root, RemotePath):
            inside = "://" not in path and not {"..", "/", "//"} & {*PurePosixPath(path).parts}
            return self._root / path if inside else "outside"
        if not isinstance(self._root, Path):
            return self._root
        below = self._inside(self._root / path)
        if isinstance(below, Path) or self._source in (None, self._root):
            return below
        before = self._inside(self._source / path)
        return before if isinstance(before, Path) else below

    def sentence(self, reason: Reason, count: int) -> str:
        """Return a sentence on files that are not shown."""
        return f"{counted(count, 'file')} not shown: {self._reasons[reason]}."

    def _inside(self, path: Path) -> Path | Reason:
        """Return a file without links, if it is a regular one inside the folder."""
        try:
            real = Path(os.path.realpath(path))
            if not real.is_relative_to(self._real):
                return "outside"
            return real if stat.S_ISREG(real.stat().st_mode) else "irregular"
        except (OSError, ValueError):  # a name that no file can have is one
            return "gone"


def _local(source: str) -> Path | None:
    """Return the folder of this machine that paths are relative to; None if it is none."""
    text = source.removeprefix("file://")
    shared = text.startswith(("//", "\\\\"))  # another machine's folder, on Windows
    if "://" in text or shared or not os.path.isabs(text):
        return None
    return Path(text).parent if os.path.isfile(text) else Path(text)
