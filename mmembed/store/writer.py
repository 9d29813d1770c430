"""Writing an embedding dataset: each file appears complete or not at all.

A part file is the commit of its chunk of work: its ``_errors`` file is written first, and counts
only once the part of the same name is there. Nothing here knows spaces, media or where rows come
from.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line
from mmembed.paths import Place, RemotePath
from mmembed.store.dataset_files import (
    CARD,
    COMPACTION,
    PARTIAL,
    errors_folder,
    has_file,
    is_part_name,
    names_in,
    part_names,
    read_small_text,
    remove_files,
    replaced_parts,
)
from mmembed.store.schema import ERROR_SCHEMA, row_ids

ROW_GROUP_ROWS = 25_000
VECTOR_LEAF = "embedding.list.element"
KEY = ("path", "modality", "segment_index")
UNIQUE = frozenset({"id", "path", "size", "mtime_ns", "checksum", "embedding"})
OBJECT_STORES = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})  # an object is there whole or not


def rows_table(
    columns: Mapping[str, Sequence[Any]], vectors: np.ndarray, carried: pa.Table, schema: pa.Schema
) -> pa.Table:
    """Return the rows of a part, sorted by path, modality and segment.

    Vectors that come in that order, in one piece and of the schema's type are not copied: the
    table looks into ``vectors``, which must stay as it is until the table is written.

    Args:
        columns: those of the schema by name, but for ``id`` and ``embedding``, of equal length
            ``rows``; others are ignored.
        vectors: float ``(rows, dim)``.
        carried: the other columns of the schema, a row each.
        schema: what :func:`mmembed.store.schema.row_schema` returned.

    Raises:
        ValueError: there is not a vector for each row.
    """
    paths, modalities, segments = (columns[name] for name in KEY)
    lengths = {name: len(columns[name]) for name in schema.names if name in columns}
    lengths |= {name: len(carried) for name in carried.column_names if name in schema.names}
    wrong = {name: length for name, length in lengths.items() if length != len(vectors)}
    if vectors.ndim != 2 or wrong:
        raise ValueError(f"vectors {vectors.shape} do not go with columns of {wrong or lengths}")
    keys = list(zip(paths, modalities, (index or 0 for index in segments), strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    arrays = {"id": row_ids(paths, modalities, segments)}
    for field in schema:
        if field.name in columns:
            arrays[field.name] = pa.array(columns[field.name], field.type)
        elif field.name in carried.column_names:
            arrays[field.name] = carried[field.name].combine_chunks().cast(field.type)
    if order != list(range(len(order))):
        places = pa.array(order, pa.int64())
        arrays = {name: values.take(places) for name, values in arrays.items()}
        vectors = vectors[order]
    arrays["embedding"] = _vector_array(vectors, schema.field("embedding").type)
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def write_part(folder: Place, name: str, rows: pa.Table, errors: pa.Table) -> Place:
    """Commit a chunk: write ``_errors/NAME`` (if there are any), then ``NAME`` itself.

    Args:
        folder: the dataset.
        name: ``part-<chunk>.parquet``.
        rows: what :func:`rows_table` returned; may be empty.
        errors: a table of :data:`~mmembed.store.schema.ERROR_SCHEMA`.

    Raises:
        StoreError: the disk is full, or the folder can't be written to.
    """
    beside = errors_folder(folder)
    if len(errors):
        ordered = errors.sort_by([("path", "ascending"), ("modality", "ascending")])
        write_whole(beside / name, lambda path: write_parquet(ordered, path))
    write_whole(folder / name, lambda path: write_parquet(rows, path))
    if not len(errors):
        remove_files(beside, [name])
    return folder / name


def remove_part(folder: Place, name: str) -> None:
    """Take a part and its errors out of the dataset.

    Raises:
        StoreError: it can't be removed, or is no regular file of the folder.
    """
    for inside in (folder, errors_folder(folder)):
        if isinstance(inside, RemotePath) or has_file(inside / name):
            remove_files(inside, [name])


def remove_leftovers(folder: Place) -> None:
    """Remove what a run that was killed left: half-written files, errors without their part.

    A compaction that was interrupted is finished.

    Raises:
        StoreError: something can't be removed, or is no regular file of the folder.
    """
    finish_compaction(folder)
    beside = errors_folder(folder)
    for inside in (folder, beside):
        half = [n for n in names_in(inside) if n.startswith(".") and n.endswith(PARTIAL)]
        remove_files(inside, half)
    parts = set(part_names(folder))
    remove_files(beside, [n for n in names_in(beside) if is_part_name(n) and n not in parts])


def note_compaction(folder: Place, merged: str, replaced: Sequence[str]) -> None:
    """Note that the part ``merged``, once it is there, replaces the parts ``replaced``."""
    note = json.dumps({"merged": merged, "replaced": list(replaced)})
    write_whole(folder / COMPACTION, lambda path: path.write_text(note, "utf-8"))


def finish_compaction(folder: Place) -> None:
    """Remove what a merged part replaces, if there is a note of one, and then the note.

    Raises:
        StoreError: it is no note of parts of this dataset; then nothing is removed.
    """
    for name in replaced_parts(folder):
        remove_part(folder, name)
    remove_files(folder, [COMPACTION])


def write_card(folder: Place, text: str) -> None:
    """Write ``_mmembed.json``, what made the dataset.

    Raises:
        StoreError: the disk is full, or the folder can't be written to.
    """
    mark = f".{uuid.uuid4().hex}"  # shards that start at once all write it
    write_whole(folder / CARD, lambda path: path.write_text(text + "\n", "utf-8"), mark)


def read_card_text(folder: Place) -> str | None:
    """Return the text of ``_mmembed.json``; None if there is none.

    Raises:
        StoreError: it can't be read.
    """
    return read_small_text(folder / CARD)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table with the encodings of the contract: zstd, vectors split by byte.

    The Parquet leaf of the vectors is named ``embedding.list.element``, whatever the Arrow
    field's name is; settings for any other name have no effect.
    """
    options = parquet_options(table.schema)
    pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, **options)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return the encodings of the contract for the columns of ``schema``.

    The lowest level of zstd that codes bytes by how often they occur is 1: it makes those with
    the exponents of vectors a third as large, and passes over those of their mantissas. Level -1
    saves half of that in the same time, and -50 nearly nothing. Columns that seldom repeat a
    value have no dictionary: it would be as large as they are.
    """
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [name for name in schema.names if name not in UNIQUE],
        "use_byte_stream_split": [VECTOR_LEAF] if "embedding" in schema.names else False,
        "write_page_index": True,
        "write_statistics": [name for name in schema.names if name != "embedding"],
    }


def errors_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows of ``_errors`` as a table."""
    return pa.Table.from_pylist(list(rows), ERROR_SCHEMA)


def _vector_array(vectors: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(vectors, kind.value_type.to_pandas_dtype()).ravel())
    if pa.types.is_fixed_size_list(kind):
        if vectors.shape[1] != kind.list_size:
            raise ValueError(f"vectors {vectors.shape} are not of {kind.list_size} numbers")
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    rows, dim = vectors.shape
    offsets = pa.array(np.arange(0, rows * dim + 1, dim, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, flat, type=kind)


def write_whole(path: Place, write: Callable[[Path], object], mark: str = "") -> None:
    """Let ``write`` fill a file, and put it in the place of ``path`` when it is whole.

    On disk that is a hidden file beside it, flushed and renamed; at a URL an upload.

    Args:
        path: the file.
        write: fills a file whose path it is given.
        mark: stands in the name of the hidden file: something of one's own where several write
            ``path`` at the same time. Without it, a file that a killed run left is written over.

    Raises:
        StoreError: the disk is full, or the folder can't be written to.
    """
    if isinstance(path, RemotePath):
        _upload(path, write)
        return
    partial = path.with_name(f".{path.name}{mark}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # a link would lead what is written elsewhere
        partial.open("xb").close()
        try:
            write(partial)
            _flush(partial)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _flush(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error.strerror or error}") from None


def _upload(path: RemotePath, write: Callable[[Path], object]) -> None:
    whole_at_once = path.root.partition("://")[0] in OBJECT_STORES
    target = path if whole_at_once else path.with_name(f".{path.name}{PARTIAL}")
    files = path.filesystem
    try:
        with tempfile.TemporaryDirectory(prefix="mmembed-") as folder:
            local = Path(folder) / path.name
            write(local)
            if not whole_at_once:
                files.create_dir(path.parent.inside, recursive=True)
            with pa.memory_map(str(local)) as content:
                stream = files.open_output_stream(target.inside)
                stream.write(content.read_buffer())
                stream.close()
        if not whole_at_once:
            files.move(target.inside, path.inside)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: can't be written: {one_line(error)}") from None


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # a folder can't be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
