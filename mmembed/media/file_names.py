"""Names of files and folders that a walk passes by: the system's, sidecars, and those of globs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from mmembed.errors import ConfigError
from mmembed.modality import modality_of_suffix

SYSTEM = frozenset(  # of Windows, macOS, and the network disks of Synology and QNAP, in lower case
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("__macosx", "network trash folder", "temporary items", "icon\r"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb"),
        "lost+found",
    }
)
SIDECARS = frozenset(
    {".json", ".xmp", ".aae", ".thm", ".pp3", ".dop", ".nfo", ".cue", ".m3u", ".m3u8", ".pls"}
)
"""Endings of files that say something of the file beside them, and are no media."""


@dataclass(frozen=True)
class NameFilter:
    """The names below a folder that are walked.

    A glob without a slash is for names (``*.jpg``), one with a slash for paths below the folder
    (``raw/**``). ``*`` stands for any characters but a slash, ``**`` for any, ``?`` for one,
    ``[ab]`` and ``[!ab]`` for one of those and for one of all others; letters count as they are
    written.

    Args:
        include: globs of files, with commas between; none other is taken. None takes all.
        exclude: globs of files and folders, with commas between, that are passed by.

    Raises:
        ConfigError: an empty glob, or one with a range that ends before it starts.
    """

    include: str | None = None
    exclude: str | None = None

    def __post_init__(self) -> None:
        _ = self._included, self._excluded  # refused here, if they are none

    @cached_property
    def _included(self) -> Match | None:
        return None if self.include is None else _matcher("include", self.include)

    @cached_property
    def _excluded(self) -> Match | None:
        return None if self.exclude is None else _matcher("exclude", self.exclude)

    def takes(self, path: str, *, is_folder: bool) -> bool:
        """Return whether the globs take a path, relative to the folder and with slashes."""
        if self._excluded is not None and self._excluded(path):
            return False
        return is_folder or self._included is None or self._included(path)


Match = Callable[[str], bool]


@dataclass
class PassedBy:
    """Number of names that a walk passed by.

    Attributes:
        hidden: those that start with a dot.
        system: the system's files and folders, and sidecars.
        unwanted: those that globs leave out.
    """

    hidden: int = 0
    system: int = 0
    unwanted: int = 0
    names: NameFilter = field(default_factory=NameFilter)

    def passes(self, path: str, *, is_folder: bool) -> bool:
        """Return whether a name is passed by, and count it."""
        name = path.rpartition("/")[2]
        if is_hidden(path):
            self.hidden += 1
        elif is_system_or_sidecar(name, is_folder=is_folder):
            self.system += 1
        elif not self.names.takes(path, is_folder=is_folder):
            self.unwanted += 1
        else:
            return False
        return True


def is_hidden(path: str) -> bool:
    """Return whether the name of a file or folder starts with a dot."""
    return path.rpartition("/")[2].startswith(".")


def is_system_or_sidecar(name: str, *, is_folder: bool) -> bool:
    """Return whether a name is of a file or folder that a system makes, or of a sidecar.

    A suffix that a modality of another package has is none of a sidecar.
    """
    name = name.lower()
    suffix = os.path.splitext(name)[1]
    if name in SYSTEM:
        return True
    return not is_folder and suffix in SIDECARS and modality_of_suffix(suffix) is None


def _matcher(option: str, globs: str) -> Match:
    patterns = [each.strip() for each in globs.split(",")]
    if not all(patterns):
        raise ConfigError(f"{option} {globs!r}: holds an empty glob", option)
    try:
        names = [re.compile(_regex(each)).fullmatch for each in patterns if "/" not in each]
        paths = [re.compile(_regex(each.strip("/"))).fullmatch for each in patterns if "/" in each]
    except re.error as error:
        raise ConfigError(f"{option} {globs!r}: {error}", option) from None

    def match(path: str) -> bool:
        name = path.rpartition("/")[2]
        return any(fits(name) for fits in names) or any(fits(path) for fits in paths)

    return match


PIECES = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)


def _regex(glob: str) -> str:
    def of_piece(match: re.Match[str]) -> str:
        piece = match[0]
        if piece.startswith("[") and len(piece) > 1:
            inside = piece[1:-1].replace("\\", r"\\")
            return f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        return known.get(piece, re.escape(piece))

    return "(?s:" + PIECES.sub(of_piece, glob) + ")"
