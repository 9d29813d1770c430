"""The listing of a source: the files of a folder, or the items of a manifest.

A listing always comes in the same order; it opens no file. It knows nothing of spaces, but for
the kind of each field, or of what was embedded before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mmembed.errors import ConfigError
from mmembed.media.file_names import NameFilter, PassedBy
from mmembed.media.folder import is_folder, walk
from mmembed.media.regions import region_order
from mmembed.media.source_file import File, remote_status, status, unseen_file
from mmembed.modality import any_in_cells, kind_named
from mmembed.paths import Place, RemotePath
from mmembed.store.cells import CellNames, content_hash, items_of
from mmembed.store.labels import read_cells
from mmembed.store.manifest import MEDIA, Fields, field_columns, read_manifest
from mmembed.store.media_paths import MediaPaths
from mmembed.store.regions import ADDED, RegionColumns

RENAMED = {"id": "sample_id"}
USUAL_FIELDS: Fields = {kind: kind for kind in MEDIA}


class Listing(Protocol):
    """The files of a source, always in the same order.

    Attributes:
        source: the folder or manifest.
        root: the folder that paths are relative to.
        by_field: whether the source says which field each file is for.
        repeated: number of cells that name a file again.
        notes: lines on what was read otherwise than the source has it.
    """

    source: Place
    root: Place
    by_field: bool
    repeated: int
    notes: Sequence[str]

    @property
    def passed_by(self) -> PassedBy:
        """Number of names that the last walk passed by."""

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

    by_field = False
    repeated = 0
    notes: Sequence[str] = ()

    def __init__(self, source: Place, out: Place, names: NameFilter | None = None) -> None:
        self.source: Place = source
        self.root: Place = source
        self._walk = walk(source, out, names)

    @property
    def passed_by(self) -> PassedBy:
        """Number of names that the last walk passed by."""
        return self._walk.passed_by

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
    """The items of a manifest: its files, sorted by path, and then those in its cells.

    A file that is in several rows comes once for each field, and for each region of it that they
    ask for, in the order of time.

    Args:
        source: the manifest; its paths are relative to its folder.
        samples: a row a sample, as :func:`~mmembed.store.manifest.read_manifest` returns them.
            Columns that hold no items are carried through to the rows of those that do (``id`` as
            ``sample_id``), and so are texts and ids that no field takes.
        fields: the kind of each field of the space.

    Attributes:
        repeated: number of cells that name a file again; the first row's columns are kept.
        notes: lines on paths that are not read as they stand.

    Raises:
        ManifestError: a column could be for several fields, or a path is of another machine.
    """

    by_field = True
    passed_by = PassedBy()
    notes: Sequence[str]

    def __init__(self, source: Place, samples: pa.Table, fields: Fields) -> None:
        self.source: Place = source
        self.root: Place = source.parent
        names = samples.column_names
        taken = field_columns(samples, fields, source)
        for kind in MEDIA:  # files that the space has no field for: each is an error of its own
            if kind in names and kind not in taken.values():
                taken[kind] = kind
        self._kinds = {field: fields.get(field, field) for field in taken}
        self._cells = {
            field: samples[column]
            for field, column in taken.items()
            if kind_named(self._kinds[field]).in_cells
        }
        left = (n for n in names if n not in (*taken.values(), *fields, *ADDED))
        kept = {name: RENAMED.get(name, name) for name in left}
        if any_in_cells(fields.values()) and "text" in kept:
            kept["text"] = "meta_text"  # the rows have a column text of their own
            if samples["text"].null_count == len(samples):
                del kept["text"]
        self._kept = samples.select(list(kept)).rename_columns(list(kept.values()))
        self._ids = samples["id"]
        self._regions = RegionColumns(samples)
        files: list[tuple[str, str, tuple[float, ...], str, int]] = []
        reader = MediaPaths(source)
        for field, column in taken.items():
            if field not in self._cells:
                paths = reader.read(samples[column].to_pylist(), column)
                for row, path in enumerate(paths):
                    if path:
                        region = self._regions.name(self._kinds[field], row)
                        order = region_order(region)
                        files.append((Path(path).as_posix(), field, order, region or "", row))
        files.sort()
        self._files = [f for i, f in enumerate(files) if i == 0 or f[:4] != files[i - 1][:4]]
        self.repeated = len(files) - len(self._files)
        self.notes = reader.notes
        if pa.types.is_list(samples["label"].type):
            spellings = read_cells(samples["label"].to_pylist(), "label")[1]
            self.notes = [*reader.notes, spellings.several_note]

    def __iter__(self) -> Iterator[File]:
        asked, file = "", None
        for path, field, _, _, row in self._files:
            if file is None or asked != path:
                asked, file = path, self._status(path)
            yield self._of_row(file._replace(modality=self._kinds[field], field=field, row=row))
        for field, column in self._cells.items():
            yield from self._items(field, column)

    def _status(self, path: str) -> File:
        if not isinstance(self.root, RemotePath):
            return status(path, os.path.join(self.root, path))
        location = self.root / path
        try:
            info = location.info()
        except Exception as error:  # fsspec hands on whatever its packages raise
            return unseen_file(path, location, error)
        return remote_status(path, location, info)

    def _items(self, field: str, column: pa.ChunkedArray) -> Iterator[File]:
        """Yield the items in the cells of a column, in the order of its rows."""
        names, kind = CellNames(), self._kinds[field]
        path = self.source.name
        location = self.source if isinstance(self.source, RemotePath) else str(self.source)
        rows = zip(self._ids.to_pylist(), column.to_pylist(), strict=True)
        for row, (sample, cell) in enumerate(rows):
            for place, content in enumerate(items_of(cell)):
                item = File(
                    path,
                    location,
                    kind,
                    size=len(content.encode("utf-8", "surrogatepass")),
                    row=row,
                    checksum=content_hash(content),
                    field=field,
                    cell=names.name(sample, place, content),
                    content=content,
                )
                yield self._of_row(item)

    def _of_row(self, item: File) -> File:
        """Return an item with the region that its row asks for, or what is wrong with that."""
        if not self._regions or item.row is None:
            return item
        region = self._regions.name(str(item.modality), item.row)
        if region is None:
            return item
        name, fault = self.source.name, self._regions.fault(item.row)
        where = f"{name}, row {item.row}"
        return item._replace(region=region, where=where, fault=fault and f"{name}, {fault}")

    def paths(self) -> set[str]:
        """Return the path of every file that the manifest names, and its own."""
        return {path for path, *_ in self._files} | {self.source.name}

    def carried(self, rows: Sequence[int | None]) -> pa.Table:
        """Return the carried columns of some rows of the manifest."""
        return self._kept.take(pa.array(rows, pa.int64()))

    @property
    def carried_types(self) -> dict[str, pa.DataType]:
        """Columns that are carried through, with their types."""
        return {field.name: field.type for field in self._kept.schema}


def list_source(
    source: Place,
    out: Place,
    fields: Fields = USUAL_FIELDS,
    names: NameFilter | None = None,
    label_separator: str = "",
) -> Listing:
    """Return the listing of a folder, or of a manifest.

    Args:
        source: the folder or manifest.
        out: the dataset, which is left out of the folder, should it lie inside.
        fields: the kind of each field of the space.
        names: globs of the files of a folder; None for all.
        label_separator: stands between several labels of a cell of a manifest.

    Raises:
        ManifestError: there is no such source, or the manifest can't be read.
        ConfigError: globs for a manifest, which names its own files, or a separator of labels for
            a folder, which has none.
    """
    if is_folder(source):
        if label_separator:
            raise ConfigError(
                f"{source}: is a folder, which has no labels", "label_separator", label_separator
            )
        return FolderListing(source, out, names)
    if names is not None and names != NameFilter():
        option = "include" if names.include is not None else "exclude"
        raise ConfigError(
            f"{source}: is a manifest, which names its files; globs are for folders", option
        )
    return ManifestListing(source, read_manifest(source, fields, label_separator), fields)
