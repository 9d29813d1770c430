"""Samples of a manifest or a folder, in one table; no file is opened but those of texts.

A *sample* is a row as in :mod:`mmembed.store.manifest`: any subset of media, texts and ids, with
its label or labels, group and split as :mod:`mmembed.store.labels` reads them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ManifestError, MediaError
from mmembed.media.folder import is_folder, walk
from mmembed.media.probe import probe
from mmembed.media.regions import item_of
from mmembed.media.source_file import IRREGULAR, LINK_ABOVE
from mmembed.modality import Modality, kind_named, modality_of_suffix
from mmembed.paths import is_url, shown
from mmembed.store.cells import items_of
from mmembed.store.labels import ABOUT, read_cells, split_named
from mmembed.store.manifest import COLUMNS, Fields, field_columns, read_manifest
from mmembed.store.media_paths import MediaPaths
from mmembed.store.regions import RegionColumns

LARGE_LISTS = pa.large_list(pa.large_string())


@dataclass(frozen=True)
class Samples:
    """A table of samples, the columns that fields take of it, and the folder of its paths.

    Attributes:
        table: one row a sample; every column of :data:`COLUMNS` is there, null where unknown.
        root: what the paths in it are relative to.
        source: the folder or manifest they were read from, as the user named it.
        columns: by field, the column that holds its items; a field without one has no items.
        in_cells: the fields whose items are the cells themselves, and no paths.
        kinds: the kind of each field.
        notes: lines on what was read otherwise than it is written.
    """

    table: pa.Table
    root: Path
    source: str
    columns: Mapping[str, str] = field(default_factory=dict)
    in_cells: frozenset[str] = frozenset()
    kinds: Fields = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.table.num_rows

    def split(self, name: str) -> Samples:
        """Return the samples of one split."""
        return replace(self, table=self.table.filter(pc.equal(self.table["split"], name)))

    def column(self, field: str) -> pa.Array:
        """Return a field's items, ``(samples,)``: strings, or lists of strings; null for none.

        An item is the path of a file, joined to the folder, with the region of it that the row
        asks for (:func:`~mmembed.media.regions.item_of`), or the content of a cell as
        :mod:`mmembed.store.cells` writes it. A cell in a row that can't be right is null.
        """
        if field not in self.columns:
            return pa.nulls(len(self), pa.large_string())
        cells, regions = self.table[self.columns[field]], self.regions
        if field in self.in_cells:
            large = pa.large_string() if pa.types.is_string(cells.type) else LARGE_LISTS
            if not regions:
                return cells.cast(large).combine_chunks()
            rows = enumerate(cells.to_pylist())
            return pa.array([None if regions.fault(row) else cell for row, cell in rows], large)
        root, kind = str(self.root), self.kinds.get(field, field)
        paths = (
            None if cell is None else item_of(os.path.join(root, cell), regions.name(kind, row))
            for row, cell in enumerate(cells.to_pylist())
        )
        return pa.array(paths, pa.large_string())

    @cached_property
    def regions(self) -> RegionColumns:
        """The regions that the samples ask for."""
        return RegionColumns(self.table)

    def things(self) -> list[str]:
        """Return a name for each sample, the same for those that are one thing.

        It is the group of a sample, else the file that it or others are regions of, else its own.
        """
        groups = self.table["group"].to_pylist()
        names = {row: group for row, group in enumerate(groups) if group is not None}
        for name, column in self.columns.items() if self.regions else ():
            paths, kind = self.table[column].to_pylist(), self.kinds.get(name, name)
            parted = {p for row, p in enumerate(paths) if p and self.regions.name(kind, row)}
            for row, path in enumerate(paths):
                if path in parted:
                    names.setdefault(row, path)
        return [names.get(row, str(row)) for row in range(len(self))]

    def items(self, field: str) -> list[list[str]]:
        """Return the items of a field for each sample: paths of files, or contents of cells."""
        return [items_of(cell) for cell in self.column(field).to_pylist()]


def read_samples(source: str | Path, fields: Fields, label_separator: str = "") -> Samples:
    """Read a manifest (Parquet, CSV, TSV, JSONL) or list a folder as samples.

    In a folder, the files of one folder that share a stem are one sample (``0001.jpg``,
    ``0001.wav``, ``0001.txt``); its label is the first folder below the root, and a first folder
    named as a split is that (the label is then the folder below it). Names that start with a dot,
    and links to a folder already listed, are left out; what can't be listed is left out with a
    warning, and so are files of texts that can't be read. That another file can be read is found
    out later, by those who open it.

    Warnings name placeholders, blanks and differences of case among labels, and folders that are
    no split beside others that are.

    Args:
        source: the manifest or folder.
        fields: the kind of each field that takes part; a field takes the column of its name, or
            that of its kind if no other field is of it.
        label_separator: stands between several labels of a cell of a manifest.

    Raises:
        ManifestError: nothing there, nothing in it, columns, ids, groups or splits that can't be
            right, items that could be for several fields, or a separator for a folder.
    """
    if is_url(source):
        raise ManifestError(f"{shown(source)}: is a URL; training reads what is on disk")
    path = Path(source)
    in_cells = frozenset(name for name, kind in fields.items() if kind_named(kind).in_cells)
    notes: list[str] = []
    if is_folder(path):
        if label_separator:
            raise ManifestError(f"{source}: is a folder; label_separator is for manifests")
        table, root = _list_folder(path), path
        columns = field_columns(table, fields, path)
    else:
        table, root = read_manifest(path, fields, label_separator), path.parent
        columns = field_columns(table, fields, path)
        paths = MediaPaths(path)
        for column in dict.fromkeys(columns[name] for name in columns if name not in in_cells):
            read = pa.array(paths.read(table[column].to_pylist(), column), pa.string())
            table = _replaced(table, column, read)
        notes += paths.notes
    table = _as_meant(table, str(source), notes)
    return Samples(table, root, str(source), columns, in_cells, dict(fields), tuple(notes))


def _as_meant(table: pa.Table, source: str, notes: list[str]) -> pa.Table:
    """Return samples with labels, groups and splits as they are meant, and say what they are not.

    Labels are lists where a sample has several. Lines that are no faults go to ``notes``.
    """
    for column in ABOUT:
        cells, spellings = read_cells(table[column].to_pylist(), column)
        for fault in spellings.faults():
            what = fault.of or "row"
            warnings.warn(
                f"{source}: {fault.count:,} {what}{'s' * (fault.count > 1)} {fault.message}",
                stacklevel=3,
            )
        several = pa.types.is_list(table[column].type)
        if several:
            notes.append(spellings.several_note)
        kind = pa.list_(pa.string()) if several else pa.string()
        table = _replaced(table, column, pa.array(cells, kind))
        notes += [f"splits: {spellings.split_note}"] if spellings.split_note else []
    return table


def _replaced(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def _list_folder(root: Path) -> pa.Table:
    samples: dict[tuple[str, str, int], dict[str, str]] = {}
    left_out: list[str] = []
    columns = dict.fromkeys(COLUMNS)
    for path, modality in _media_below(root, left_out):
        folder, _, name = path.rpartition("/")
        stem, turn = os.path.splitext(name)[0], 0
        while modality in samples.get((folder, stem, turn), {}):
            turn += 1
        cell = path
        if kind_named(modality).in_cells:
            try:
                cell = _content(root / path, modality)
            except MediaError as error:
                left_out.append(f"{path}: {error.message}")
                continue
        sample = samples.setdefault((folder, stem, turn), _label_and_split(folder))
        sample[modality], columns[modality] = cell, None
    _warn_of_others(samples, root)
    if left_out:
        text = f"{root}: {len(left_out)} files or folders are left out"
        warnings.warn(f"{text}, the first: {left_out[0]}", stacklevel=3)
    if not samples:
        raise ManifestError(f"{root}: no images, sounds or videos in this folder")
    return pa.Table.from_pylist(
        list(samples.values()), pa.schema([(name, pa.string()) for name in columns])
    )


def _content(path: Path, modality: Modality) -> str:
    """Return the content of a file that stands for a cell.

    Raises:
        MediaError: it can't be read, or is something else.
    """
    info = probe(path)
    if info.modality != modality or info.text is None:
        raise MediaError(str(path), "probe", f"is {info.modality}, and no text")
    return info.text


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
    """Return label and split of the samples of a folder, as its path has them."""
    parts = folder.split("/") if folder else []
    sample = {"split": parts.pop(0)} if parts and split_named(parts[0]) else {}
    return sample | ({"label": parts[0]} if parts else {})


def _warn_of_others(samples: Mapping[tuple[str, str, int], dict[str, str]], root: Path) -> None:
    """Warn of folders that are no split, beside others that are."""
    tops = dict.fromkeys(folder.partition("/")[0] for folder, _, _ in samples)
    splits = [top for top in tops if split_named(top)]
    others = [top for top in tops if top and not split_named(top)]
    if splits and others:
        warnings.warn(
            f"{root}: {', '.join(splits)} in it are splits, and {', '.join(others)} are none: what "
            "is there counts as train, labelled so",
            stacklevel=4,
        )
