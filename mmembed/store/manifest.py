"""Manifests: tables of samples in Parquet, CSV, TSV or JSONL; nothing else is opened.

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
from mmembed.store.cells import contents, labels, texts
from mmembed.store.external import read_table, way_out
from mmembed.store.labels import ABOUT, SPLIT_NAMES, SPLITS, read_cells, spelled
from mmembed.store.regions import COLUMNS as REGION_COLUMNS
from mmembed.store.regions import with_regions

USUAL = ("image", "audio", "video", "text")  # columns that every manifest has, maybe empty
MEDIA: tuple[Modality, ...] = USUAL[:3]  # those of them that hold paths
COLUMNS = ("id", *USUAL, *ABOUT)
MANIFEST_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson", ".tsv")
Fields = Mapping[str, Modality]


def read_manifest(
    path: str | Place, fields: Fields | None = None, label_separator: str = ""
) -> pa.Table:
    """Read a manifest, with every column of :data:`COLUMNS` and of ``fields``.

    Columns are strings, as CSV and JSONL have them written; those of texts, ids and labels are
    lists of strings if a cell of them holds several, and ids are as
    :func:`mmembed.store.cells.contents` writes them. What labels, groups and splits mean is for
    :mod:`mmembed.store.labels` to say. Regions are as
    :func:`mmembed.store.regions.with_regions` adds them.

    Args:
        path: of the manifest.
        fields: the kind of each field of a space; None where there is no space.
        label_separator: stands between several labels of a cell; empty where a cell is one label.

    Raises:
        ManifestError: nothing there, nothing in it, or columns, ids, groups or splits that can't
            be right.
    """
    path, fields = place(path), fields or {}
    if is_folder(path) or not path.is_file():
        raise ManifestError(f"{path}: is neither a folder nor a regular file")
    if path.suffix.lower() not in MANIFEST_ENDINGS:
        ends = f"a manifest ends in {', '.join(MANIFEST_ENDINGS)}"
        raise ManifestError(f"{path}: {way_out(path) or ends}")
    known = {**{kind: kind for kind in kinds()}, **fields}
    try:
        table = read_table(path, None)
    except StoreError as error:
        raise ManifestError(str(error)) from None
    _check_columns(table.column_names, path, known)
    samples = _complete(table, path, known, fields)
    if label_separator:
        at = samples.column_names.index("label")
        samples = samples.set_column(at, "label", labels(samples["label"], label_separator))
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
    apart = next((mark for mark in ";\t" if len(names) == 1 and mark in names[0]), "")
    if apart:
        hint = "Save it with commas" if apart == ";" else "Let its name end in .tsv"
        raise ManifestError(
            f"{path}: has one column, {names[0]!r}: its cells are apart by {apart!r} and not by "
            f"commas. {hint}."
        )
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
        elif name == "label":
            columns[name] = contents(table[name], "text", f"{path}: column {name}")
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
    _check_splits(table, path)


def _check_splits(table: pa.Table, path: Place) -> None:
    splits, spellings = read_cells(table["split"].to_pylist(), "split")
    if spellings.unknown:
        first = min(spellings.first[text] for text in spellings.unknown)
        others = ", ".join(name for name in SPLIT_NAMES if name not in SPLITS)
        raise ManifestError(
            f"{path}: row {first}: unknown split; {spellings.unknown.total():,} rows have "
            f"{spelled(spellings.unknown)}. Known are {', '.join(SPLITS)} (also {others}). To "
            "carry it through, name the column meta_split."
        )
    groups = read_cells(table["group"].to_pylist(), "group")[0]
    home: dict[str, str] = {}
    pairs = zip(groups, splits, strict=True)
    named = [(str(group), str(split or SPLITS[0])) for group, split in pairs if group is not None]
    cut = [*dict.fromkeys(g for g, split in named if home.setdefault(g, split) != split)]
    if cut:
        raise ManifestError(
            f"{path}: group {cut[0]} is in more than one split; {len(cut)} groups are "
            "cut. A group must stay in one split."
        )
