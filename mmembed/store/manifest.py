"""Manifests: tables of samples in Parquet, CSV or JSONL; nothing is opened but the table itself.

A *sample* is a row with any subset of ``image``, ``audio``, ``video`` (a path, relative to the
manifest's folder) and ``text`` (the text itself) plus ``id``, ``label``, ``group`` and ``split``.
Columns whose names start with ``meta_`` are carried through; any other name is refused, since it
is nearly always a misspelling.
"""

from __future__ import annotations

import difflib
import functools
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ManifestError, StoreError
from mmembed.media.folder import is_folder
from mmembed.modality import MODALITIES, Modality
from mmembed.paths import Place, place
from mmembed.store.external import read_table

MEDIA: tuple[Modality, ...] = tuple(m for m in MODALITIES if m != "text")
COLUMNS = ("id", *MODALITIES, "label", "group", "split")
MANIFEST_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson")


def read_manifest(path: str | Place) -> pa.Table:
    """Read a manifest, all columns as strings, with every column of :data:`COLUMNS`.

    Raises:
        ManifestError: nothing there, nothing in it, or columns, ids, groups or splits that can't
            be right.
    """
    path = place(path)
    if is_folder(path) or not path.is_file():
        raise ManifestError(f"{path}: is neither a folder nor a regular file")
    if path.suffix.lower() not in MANIFEST_ENDINGS:
        raise ManifestError(f"{path}: a manifest ends in {', '.join(MANIFEST_ENDINGS)}")
    try:
        table = read_table(path, COLUMNS)
    except StoreError as error:
        raise ManifestError(str(error)) from None
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
