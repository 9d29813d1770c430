"""The files of a dataset's folder: their names, and that each is a regular file in it.

A dataset may come from a stranger. A link would make mmembed read, write or delete something
elsewhere, and a pipe would make it wait for ever; so inside the folder only regular files and the
folder ``_errors`` count, and anything else in their place is refused by name. The folder itself
is the user's word and may be a link; at a URL there are neither.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line, reason
from mmembed.paths import Place, RemotePath, place

CARD = "_mmembed.json"
COMPACTION = "_compaction.json"
REPLACEMENT = "_replacement.json"
ERRORS = "_errors"
PARTIAL = ".partial"
NEW = ".new"
LOCK = ".lock"
NAME_BYTES = 255  # of a file's name, at most
TEXT_BYTES = 16 << 20  # of the card and of the note; 250,000 names of parts are 10 MB
KINDS = (
    (stat.S_ISLNK, "link"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISREG, "file"),
)


def is_part_name(name: object) -> bool:
    """Return whether this is the name of a part file, and nothing that leads elsewhere."""
    return (
        isinstance(name, str)
        and name.startswith("part-")
        and name.endswith(".parquet")
        and name.isprintable()
        and not set(name) & set("/\\")
        and len(name.encode()) <= NAME_BYTES
    )


def has_file(path: Place) -> bool:
    """Return whether a file of a dataset is there.

    Raises:
        StoreError: a link, folder, pipe or device is in its place, or it can't be looked at.
    """
    if isinstance(path, RemotePath):
        try:
            return path.is_file()
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: can't be reached: {one_line(error)}") from None
    return _is(path, "file")


def errors_folder(folder: Place) -> Place:
    """Return the folder of a dataset's errors, which need not be there.

    Raises:
        StoreError: a link, file, pipe or device is in its place, or it can't be looked at.
    """
    inside = folder / ERRORS
    if isinstance(inside, Path):
        _is(inside, "folder")
    return inside


def names_in(folder: Place) -> list[str]:
    """Return the names of all that is in a folder, in order; none if it is not there.

    Raises:
        StoreError: it can't be listed.
    """
    try:
        if isinstance(folder, RemotePath):
            return [entry.name for entry in folder.iterdir()]
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{folder}: can't be listed: {reason(error)}") from None


def part_names(folder: Place) -> list[str]:
    """Return the names of the part files in a folder, in order, merged and replaced ones alike.

    Raises:
        StoreError: one of them is no regular file or has a name that leads elsewhere, or the
            folder can't be listed.
    """
    names = [n for n in names_in(folder) if n.startswith("part-") and n.endswith(".parquet")]
    for name in names:
        if not is_part_name(name):
            raise StoreError(f"{folder}: {name!a} is no name of a part file; rename or remove it")
        if isinstance(folder, Path):
            has_file(folder / name)
    return names


def part_files(path: str | Place) -> list[Place]:
    """Return the part files of a dataset in order of their names; a file is its own only part.

    Raises:
        StoreError: no such file or folder, it can't be listed, or a part is no regular file.
    """
    path = place(path)
    try:
        if path.is_file():
            return [path]
        is_dir = path.is_dir()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path}: can't be reached: {reason(error)}") from None
    if not is_dir:
        raise StoreError(f"{path}: no such file or folder")
    replaced = replaced_parts(path)
    return [path / name for name in part_names(path) if name not in replaced]


def replaced_parts(folder: Place) -> set[str]:
    """Return the names of parts that a merged one replaces, while they are being removed.

    Raises:
        StoreError: the note of the compaction can't be read, or names anything but parts.
    """
    path = folder / COMPACTION
    text = read_small_text(path)
    if text is None:
        return set()
    try:
        note = json.loads(text)
        merged, replaced = note["merged"], note["replaced"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError(_no_note(path, "it is not what mmembed writes")) from None
    if not isinstance(replaced, list):
        raise StoreError(_no_note(path, "it is not what mmembed writes"))
    for name in (merged, *replaced):
        if not is_part_name(name):
            raise StoreError(_no_note(path, f"{one_line(ascii(name))[:80]} names no part"))
    if merged.casefold() in {name.casefold() for name in replaced}:
        raise StoreError(_no_note(path, f"{merged} would replace itself"))
    return set(replaced) if has_file(folder / merged) else set()


def _no_note(path: Place, why: str) -> str:
    return (
        f"{path}: not the note of a compaction ({why}); nothing was removed. Remove it if the "
        "parts are all you want to keep."
    )


def read_small_text(path: Place) -> str | None:
    """Return the text of a small file of a dataset; None if there is none.

    Raises:
        StoreError: it can't be read, is no regular file, or is too large to be mmembed's.
    """
    if not has_file(path):
        return None
    try:
        size = path.stat().st_size if isinstance(path, Path) else path.info().size
        if size is not None and size > TEXT_BYTES:
            raise ValueError(f"{size:,} bytes are too many")
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, pa.ArrowException) as error:
        why = reason(error)
        raise StoreError(f"{path}: its mmembed metadata can't be read ({why})") from None


def remove_files(folder: Place, names: Collection[str]) -> None:
    """Remove files from a folder of a dataset, by name; those that are gone are left out.

    What is removed is the name in the folder: of a link, not what it points to.

    Raises:
        StoreError: one can't be removed.
    """
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{folder / name}: can't be removed: {reason(error)}") from None


def _is(path: Path, wanted: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: can't be read: {reason(error)}") from None
    kind = next((name for test, name in KINDS if test(mode)), "device")
    if kind != wanted:
        real = "regular file" if wanted == "file" else "folder"
        raise StoreError(
            f"{path}: is a {kind}, not a {real} of the dataset; put a copy in its place, or remove "
            "it"
        )
    return True
