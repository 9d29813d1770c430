"""A file of a source, or a cell of a manifest: its path in tables, its state, or its problem.

No file is opened. What can't be looked at comes with a problem, marked as unseen: it may be there
all the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import Any, NamedTuple

from mmembed.errors.plain_text import reason
from mmembed.paths import RemotePath

KEY_BITS = (1 << 64) - 1
NOT_THERE = "no such file"
LINK_TO_NOTHING = "is a link to nothing"
LINK_ABOVE = "is a link to a folder above it"
IRREGULAR = "is not a regular file"
LIKE_ESCAPES = re.compile(r"\\(?=x(?:[89a-f][0-9a-f]|5c))")  # what printable() might have written


class File(NamedTuple):
    """One file of a source, or one item in a cell of its manifest; it becomes rows or one error.

    Attributes:
        path: POSIX path relative to the source's root, as it stands in the table; that of the
            manifest where the item is in a cell.
        location: what to open.
        modality: what a manifest says it is; None to find out by its content.
        size: in bytes; None if it could not be asked.
        mtime_ns: time of the last change, in nanoseconds.
        row: its row in the manifest, if there is one.
        problem: why it can't be read at all.
        checksum: hash of its content, where that was asked for.
        unseen: that neither it nor what may lie below it could be seen, so that nothing says that
            any of it changed or is gone.
        field: the field of the space that a manifest names it for; None to find out.
        cell: the name of an item in a cell of the manifest; None for a file.
        content: that item.
        region: the name of the region of it that is wanted, as of :mod:`mmembed.media.regions`;
            None for all of it.
        fault: why the row of the manifest that names it can't be right; empty if it can.
        where: names that row in errors, where there is a region.
    """

    path: str
    location: str | RemotePath
    modality: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    row: int | None = None
    problem: str = ""
    checksum: str | None = None
    unseen: bool = False
    field: str | None = None
    cell: str | None = None
    content: str | None = None
    region: str | None = None
    fault: str = ""
    where: str = ""

    @property
    def unit(self) -> str:
        """A name of the file or the item that no other one of the source has, but its regions."""
        return unit_name(self.path, self.cell)

    @property
    def state(self) -> int | str | None:
        """A mark of the file's content: its checksum, else the time of its last change."""
        return self.mtime_ns if self.checksum is None else self.checksum

    @property
    def key(self) -> int:
        """A hash of all that tells whether this file was embedded before, 64 bits.

        Like any ``hash``, it holds for one process.
        """
        return file_key(self.unit, self.field, self.size, self.state, self.region)

    @property
    def digest(self) -> bytes:
        """A hash of what :attr:`key` stands for, the same everywhere, 16 bytes."""
        text = "\0".join((self.unit, self.field or "", str(self.size), str(self.state)))
        text += "" if self.region is None else f"\0{self.region}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def unit_name(path: str, cell: str | None) -> str:
    """Return :attr:`File.unit` of a row's columns."""
    return path if cell is None else f"{path}\0{cell}"


def file_key(
    unit: str,
    field: str | None,
    size: int | None,
    state: int | str | None,
    region: str | None = None,
) -> int:
    """Return :attr:`File.key` of a row's columns.

    Args:
        unit: as :func:`unit_name` returns it.
        field: None where a folder was listed.
        size: in bytes.
        state: as :attr:`File.state`.
        region: as :attr:`File.region`.
    """
    return hash((unit, field, size, state, region)) & KEY_BITS


def status(path: str, location: str) -> File:
    """Return the file with its size and time, or with the problem of asking for them."""
    try:
        info = os.stat(location)
    except (FileNotFoundError, NotADirectoryError):
        problem = LINK_TO_NOTHING if os.path.islink(location) else NOT_THERE
        return File(path, location, problem=problem)
    except OSError as error:
        return unseen_file(path, location, error)
    except ValueError as error:  # a null byte in it
        return File(path, location, problem=f"can't be a path: {error}")
    problem = "" if stat.S_ISREG(info.st_mode) else IRREGULAR
    return File(path, location, size=info.st_size, mtime_ns=info.st_mtime_ns, problem=problem)


def remote_status(path: str, location: RemotePath, info: Any) -> File:
    """Return a file at a URL of which ``info`` (a ``pyarrow.fs.FileInfo``) is known."""
    if info.type.name != "File":
        problem = NOT_THERE if info.type.name == "NotFound" else IRREGULAR
        return File(path, location, problem=problem)
    return File(path, location, size=info.size, mtime_ns=info.mtime_ns)


def printable(path: str) -> str:
    """Return ``path`` as valid UTF-8; bytes that are not come out as ``\\xNN``.

    Two paths never share one: a backslash that reads like the start of such an escape comes out
    as ``\\x5c``.
    """
    if "\\" in path:
        path = LIKE_ESCAPES.sub(r"\\x5c", path)
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unseen_file(path: str, location: str | RemotePath, error: Exception) -> File:
    """Return a file that could not be looked at, and why."""
    problem = f"can't be looked at: {reason(error)}"
    return File(path, location, problem=problem, unseen=True)
