"""The listing of a source: the files of a folder, or the cells of a manifest.

A listing always comes in the same order; it opens no file and holds no file's content. It knows
nothing of spaces or of what was embedded before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mmembed.media.folder import is_folder, walk
from mmembed.media.source_file import File, remote_status, status, unseen_file
from mmembed.paths import Place, RemotePath
from mmembed.store.manifest import MEDIA, read_manifest

RENAMED = {"id": "sample_id"}


class Listing(Protocol):
    """The files of a source, always in the same order.

    Attributes:
        source: the folder or manifest.
        root: the folder that paths are relative to.
        by_modality: whether the source says what each file is to be embedded as.
        repeated: number of cells that name a file again.
    """

    source: Place
    root: Place
    by_modality: bool
    repeated: int

    @property
    def hidden(self) -> int:
        """Number of names skipped in the last walk."""

    def __iter__(self) -> Iterator[File]:
        """Walk the files; no file is opened.

        Raises:
            ManifestError: the folder itself can't be listed.
        """

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return the carried columns of some rows of a manifest."""

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through, with their types."""


class FolderListing:
    """The files of a folder, on disk or at a URL, without the dataset, should it lie inside."""

    by_modality = False
    repeated = 0

    def __init__(self, source: Place, out: Place) -> None:
        self.source: Place = source
        self.root: Place = source
        self._walk = walk(source, out)

    @property
    def hidden(self) -> int:
        """Number of names skipped in the last walk."""
        return self._walk.hidden

    def __iter__(self) -> Iterator[File]:
        return iter(self._walk)

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return no columns for some rows."""
        return pa.table({"_": pa.nulls(len(rows))}).select([])

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through: a folder has none."""
        return {}


class ManifestListing:
    """The media cells of a manifest, sorted by path; a file in several rows comes once.

    Args:
        source: the manifest; its paths are relative to its folder.
        samples: a row a sample: columns ``image``, ``audio``, ``video`` with paths, and others,
            which are carried through to the rows of their files (``id`` as ``sample_id``).

    Attributes:
        repeated: number of cells that name a file again; the first row's columns are kept.
    """

    by_modality = True
    hidden = 0

    def __init__(self, source: Place, samples: pa.Table) -> None:
        self.source: Place = source
        self.root: Place = source.parent
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
                try:
                    info = location.info()
                except Exception as error:  # fsspec hands on whatever its packages raise
                    yield unseen_file(path, location, error, modality, row)
                else:
                    yield remote_status(path, location, info, modality, row)
            else:
                yield status(path, os.path.join(self.root, path), modality, row)

    def paths(self) -> set[str]:
        """Return the path of every file that the manifest names."""
        return {path for path, _, _ in self._cells}

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
    if is_folder(source):
        return FolderListing(source, out)
    return ManifestListing(source, read_manifest(source))
