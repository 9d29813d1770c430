"""Folders and manifests to one table of samples; nothing is opened but the manifest itself.

A *sample* is a row with any subset of ``image``, ``audio``, ``video`` and ``text`` (a path; the
text itself) plus ``label``, ``group`` and ``split``. Columns whose names start with ``meta_`` are
carried through; any other name is refused, since it is nearly always a misspelling.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import reason
from mmembed.modality import MODALITIES, modality_of_suffix
from mmembed.paths import Place, RemotePath, place

MEDIA = ("image", "audio", "video")
COLUMNS = ("id", *MODALITIES, "label", "group", "split")
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
AS_TEXT = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in COLUMNS})
READERS = {  # of an open file: pyarrow takes no path that is not UTF-8
    ".parquet": pq.read_table,
    ".csv": lambda file: pyarrow.csv.read_csv(file, convert_options=AS_TEXT),
    ".jsonl": pyarrow.json.read_json,
    ".ndjson": pyarrow.json.read_json,
}


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
    Names that start with a dot, and links to a folder already listed, are left out. That a file
    is there and can be read is found out later, by those who open it.

    Raises:
        ManifestError: nothing there, nothing in it, or columns, ids, groups or splits that can't
            be right.
    """
    path = Path(source)
    if path.is_dir():
        table, root = _list_folder(path), path
    else:
        table, root = read_manifest(path), path.parent
    return Samples(table, root, str(source))


def read_manifest(path: str | Place) -> pa.Table:
    """Read a manifest, all columns as strings, with every column of :data:`COLUMNS`.

    Raises:
        ManifestError: as :func:`read_samples`.
    """
    path = place(path)
    if not path.is_file():
        there = "is neither a folder nor a regular file"
        what = there if path.exists() else "no such folder or manifest"
        raise ManifestError(f"{path}: {what}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ManifestError(f"{path}: a manifest ends in {', '.join(READERS)}")
    try:
        with path.open() if isinstance(path, RemotePath) else path.open("rb") as file:
            table = reader(file)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path}: can't be read: {reason(error)}") from None
    _check_columns(table.column_names, path)
    table = _complete(table, path)
    _check_rows(table, path)
    return table


def _check_columns(names: Sequence[str], path: Place) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ManifestError(f"{path}: column {twice[0]} is there twice; keep one of them")
    for name in names:
        if name not in COLUMNS and not name.startswith("meta_"):
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(COLUMNS)}."
            raise ManifestError(
                f"{path}: unknown column {name}; {hint} To carry it through, name it meta_{name}."
            )
    if not set(names) & set(MODALITIES):
        raise ManifestError(f"{path}: no column of media ({', '.join(MODALITIES)})")


def _complete(table: pa.Table, path: Place) -> pa.Table:
    columns = {}
    for name in (*COLUMNS, *(n for n in table.column_names if n.startswith("meta_"))):
        if name in table.column_names:
            try:
                column = table[name].cast(pa.string())
            except pa.ArrowException:
                raise ManifestError(
                    f"{path}: column {name} holds {table[name].type}, which is no text or number"
                ) from None
            columns[name] = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        else:
            columns[name] = pa.nulls(table.num_rows, pa.string())
    return pa.table(columns)


def _check_rows(table: pa.Table, path: Place) -> None:
    if table.num_rows == 0:
        raise ManifestError(f"{path}: has no rows")
    empty = functools.reduce(pc.and_, [pc.is_null(table[m]) for m in MODALITIES])
    count = pc.sum(empty).as_py()
    if count:
        first = pc.index(empty, True).as_py()
        raise ManifestError(
            f"{path}: {count} rows have no media at all, the first is row {first}. Remove them."
        )
    ids = table["id"].drop_null()
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise ManifestError(
            f"{path}: id {repeated[0]['values']} stands in {repeated[0]['counts']} rows; "
            f"{len(repeated)} ids are not unique"
        )
    split = pc.fill_null(table["split"], "train")
    pairs = pa.table({"group": table["group"], "split": split}).drop_null()
    splits = pc.value_counts(pairs.group_by(["group", "split"]).aggregate([])["group"])
    cut = splits.filter(pc.greater(splits.field("counts"), 1))
    if len(cut):
        raise ManifestError(
            f"{path}: group {cut[0]['values']} is in more than one split; {len(cut)} groups are "
            "cut. A group must stay in one split."
        )


def _list_folder(root: Path) -> pa.Table:
    samples: dict[tuple[str, str, int], dict[str, str]] = {}
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        if (real := os.path.realpath(folder)) in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add(real)
        relative = Path(folder).relative_to(root)
        for name in sorted(files):
            modality = modality_of_suffix(os.path.splitext(name)[1])
            if modality is None or name.startswith("."):
                continue
            stem, turn = os.path.splitext(name)[0], 0
            while modality in samples.get((str(relative), stem, turn), {}):
                turn += 1
            sample = samples.setdefault((str(relative), stem, turn), _place(relative))
            path = relative / name
            sample[modality] = (
                (root / path).read_text("utf-8", "replace")
                if modality == "text"
                else path.as_posix()
            )
    if not samples:
        raise ManifestError(f"{root}: no images, sounds or videos in this folder")
    return pa.Table.from_pylist(
        list(samples.values()), pa.schema([(name, pa.string()) for name in COLUMNS])
    )


def _place(relative: Path) -> dict[str, str]:
    parts = list(relative.parts)
    sample = {"split": SPLITS[parts.pop(0)]} if parts and parts[0] in SPLITS else {}
    return sample | ({"label": parts[0]} if parts else {})
