"""Manifests: tables of samples in Parquet, CSV or JSONL; nothing is opened but the table itself.

A *sample* is a row with any subset of media plus ``id``, ``label``, ``group`` and ``split``. A
column of media is called as the field of a space that takes it, or as its kind: ``image``,
``audio`` and ``video`` hold a path, relative to the manifest's folder; ``text`` holds the text
itself, or a list of several; ``category`` holds an id, a list of tags, or tags with weights (see
:mod:`mmembed.store.cells`). A row may be of a span or a box of its files
(:mod:`mmembed.store.regions`). Columns whose names start with ``meta_`` are carried through; any
other name is refused, since it is nearly always a misspelling.
"""

from __future__ import annotations

import difflib
import functools
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ManifestError, StoreError
from mmembed.media.folder import is_folder
from mmembed.modality import Modality, kinds
from mmembed.paths import Place, place
from mmembed.store.cells import contents, texts
from mmembed.store.external import read_table
from mmembed.store.regions import COLUMNS as REGION_COLUMNS
from mmembed.store.regions import with_regions

USUAL = ("image", "audio", "video", "text")  # columns that every manifest has, maybe empty
MEDIA: tuple[Modality, ...] = USUAL[:3]  # those of them that hold paths
ABOUT = ("label", "group", "split")
COLUMNS = ("id", *USUAL, *ABOUT)
MANIFEST_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson")
Fields = Mapping[str, Modality]


def read_manifest(path: str | Place, fields: Fields | None = None) -> pa.Table:
    """Read a manifest, with every column of :data:`COLUMNS` and of ``fields``.

    Columns are strings, as CSV and JSONL have them written; those of texts and ids are lists of
    strings if a cell of them holds several, and ids are as :func:`mmembed.store.cells.contents`
    writes them. Regions are as :func:`mmembed.store.regions.with_regions` adds them.

    Args:
        path: of the manifest.
        fields: the kind of each field of a space; None where there is no space.

    Raises:
        ManifestError: nothing there, nothing in it, or columns, ids, groups or splits that can't
            be right.
    """
    path, fields = place(path), fields or {}
    if is_folder(path) or not path.is_file():
        raise ManifestError(f"{path}: is neither a folder nor a regular file")
    if path.suffix.lower() not in MANIFEST_ENDINGS:
        raise ManifestError(f"{path}: a manifest ends in {', '.join(MANIFEST_ENDINGS)}")
    known = {**{kind: kind for kind in kinds()}, **fields}
    try:
        table = read_table(path, None)
    except StoreError as error:
        raise ManifestError(str(error)) from None
    _check_columns(table.column_names, path, known)
    samples = _complete(table, path, known, fields)
    _check_rows(samples, path, known)
    return with_regions(samples, table, known, path)


def field_columns(table: pa.Table, fields: Fields, source: Place) -> dict[str, str]:
    """Return the column of each field that has one with anything in it.

    A field takes the column of its name; else that of its kind, if no other field is of it.

    Args:
        table: samples of a manifest, or of a folder.
        fields: the kind of each field of a space.
        source: the manifest or folder.

    Raises:
        ManifestError: a column is called as a kind, and could be for several fields.
    """
    filled = [name for name in table.column_names if table[name].null_count < table.num_rows]
    columns = {}
    for name, kind in fields.items():
        rivals = [other for other in fields if fields[other] == kind]
        if name in filled:
            columns[name] = name
        elif kind in filled and kind not in fields and len(rivals) == 1:
            columns[name] = kind
        elif kind in filled and kind not in fields:
            named = " or ".join(rivals)
            if source.suffix.lower() in MANIFEST_ENDINGS:
                raise ManifestError(
                    f"{source}: field {name}: the manifest has no column {name}, and {kind} could "
                    f"be for {named}. Name a column for each.",
                    advice="field",
                )
            raise ManifestError(
                f"{source}: field {name}: files of {kind} could be for {named}. List them in a "
                "manifest, with a column for each."
            )
    return columns


def _check_columns(names: Sequence[str], path: Place, known: Fields) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ManifestError(f"{path}: column {twice[0]} is there twice; keep one of them")
    columns = ["id", *known, *ABOUT, *REGION_COLUMNS]
    for name in names:
        if name not in columns and not name.startswith("meta_"):
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(columns)}."
            raise ManifestError(
                f"{path}: unknown column {name}; {hint} To carry it through, name it meta_{name}."
            )
    if not set(names) & set(known):
        raise ManifestError(f"{path}: no column of media ({', '.join(known)})")


def _complete(table: pa.Table, path: Place, known: Fields, fields: Fields) -> pa.Table:
    given = table.column_names
    more = [name for name in known if name not in COLUMNS and (name in given or name in fields)]
    columns = {}
    for name in ("id", *USUAL, *more, *ABOUT, *(n for n in given if n.startswith("meta_"))):
        if name not in given:
            columns[name] = pa.nulls(table.num_rows, pa.string())
        elif name in known and kinds()[known[name]].in_cells:
            columns[name] = contents(table[name], known[name], f"{path}: column {name}")
        else:
            columns[name] = texts(table[name], f"{path}: column {name}")
    return pa.table(columns)


def _check_rows(table: pa.Table, path: Place, known: Fields) -> None:
    if table.num_rows == 0:
        raise ManifestError(f"{path}: has no rows")
    media = [name for name in known if name in table.column_names]
    empty = functools.reduce(pc.and_, [pc.is_null(table[name]) for name in media])
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
