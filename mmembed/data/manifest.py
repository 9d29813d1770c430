"""Samples of a manifest or a folder of media, in one table; no media file is opened.

A *sample* is a row as in :mod:`mmembed.store.manifest`: any subset of media and text, with its
label, group and split.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import reason
from mmembed.media.folder import is_folder, walk
from mmembed.media.source_file import IRREGULAR, LINK_ABOVE
from mmembed.modality import Modality, modality_of_suffix
from mmembed.paths import is_url, shown
from mmembed.store.manifest import COLUMNS, read_manifest

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Samples:
    """A table of samples and the folder that their paths are relative to.

    Attributes:
        table: one row a sample; every column of :data:`COLUMNS` is there, null where unknown.
        root: what the paths in it are relative to.
        source: the folder or manifest they were read from, as the user named it.
    """

    table: pa.Table
    root: Path
    source: str

    def __len__(self) -> int:
        return self.table.num_rows

    def split(self, name: str) -> Samples:
        """Return the samples of one split."""
        return Samples(
            self.table.filter(pc.equal(self.table["split"], name)), self.root, self.source
        )

    def paths(self, modality: str) -> list[str | None]:
        """Return where each sample's file of ``modality`` is; None where it has none."""
        root = str(self.root)
        cells = self.table[modality].to_pylist()
        return [None if cell is None else os.path.join(root, cell) for cell in cells]


def read_samples(source: str | Path) -> Samples:
    """Read a manifest (Parquet, CSV, JSONL) or list a folder of media as samples.

    In a folder, the files of one folder that share a stem are one sample (``0001.jpg``,
    ``0001.wav``, ``0001.txt``); its label is the first folder below the root, and a first folder
    named ``train``, ``val`` or ``test`` is the split (the label is then the folder below it).
    Names that start with a dot, and links to a folder already listed, are left out; what can't be
    listed is left out with a warning. That a file can be read is found out later, by those who
    open it.

    Raises:
        ManifestError: nothing there, nothing in it, or columns, ids, groups or splits that can't
            be right.
    """
    if is_url(source):
        raise ManifestError(f"{shown(source)}: is a URL; training reads what is on disk")
    path = Path(source)
    if is_folder(path):
        table, root = _list_folder(path), path
    else:
        table, root = read_manifest(path), path.parent
    return Samples(table, root, str(source))


def _list_folder(root: Path) -> pa.Table:
    samples: dict[tuple[str, str, int], dict[str, str]] = {}
    left_out: list[str] = []
    for path, modality in _media_below(root, left_out):
        folder, _, name = path.rpartition("/")
        stem, turn = os.path.splitext(name)[0], 0
        while modality in samples.get((folder, stem, turn), {}):
            turn += 1
        cell = path
        if modality == "text":
            try:
                cell = (root / path).read_text("utf-8", "replace")
            except OSError as error:
                left_out.append(f"{path}: can't be read: {reason(error)}")
                continue
        sample = samples.setdefault((folder, stem, turn), _label_and_split(folder))
        sample[modality] = cell
    if left_out:
        text = f"{root}: {len(left_out)} files or folders are left out"
        warnings.warn(f"{text}, the first: {left_out[0]}", stacklevel=3)
    if not samples:
        raise ManifestError(f"{root}: no images, sounds or videos in this folder")
    return pa.Table.from_pylist(
        list(samples.values()), pa.schema([(name, pa.string()) for name in COLUMNS])
    )


def _media_below(root: Path, left_out: list[str]) -> Iterator[tuple[str, Modality]]:
    """Yield path and modality of the media below a folder, by name, files before folders.

    A folder that is reached twice, by a link, is listed once. What can't be looked at, or can't
    stand in a table, goes to ``left_out``, with the reason.
    """
    paths = {Path(str(file.location)).relative_to(root).as_posix(): file for file in walk(root)}
    reached: dict[str, str] = {}
    for path in sorted(paths, key=_files_first):
        file, folder = paths[path], os.path.dirname(path)
        if reached.setdefault(os.path.realpath(root / folder), folder) != folder:
            continue
        modality = modality_of_suffix(os.path.splitext(path)[1])
        if file.unseen or (modality and file.problem == IRREGULAR):
            left_out.append(f"{file.path}: {file.problem}")
        elif modality is None or file.problem == LINK_ABOVE:
            continue
        elif not path.isascii() and path.encode("utf-8", "replace").decode() != path:
            left_out.append(f"{file.path}: its name is not UTF-8")
        else:
            yield path, modality


def _files_first(path: str) -> list[tuple[bool, str]]:
    *folders, name = path.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def _label_and_split(folder: str) -> dict[str, str]:
    parts = folder.split("/") if folder else []
    sample = {"split": SPLITS[parts.pop(0)]} if parts and parts[0] in SPLITS else {}
    return sample | ({"label": parts[0]} if parts else {})
