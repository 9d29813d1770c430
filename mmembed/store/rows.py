"""Rows of a part: their ids, and their table made from columns and vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from mmembed.media.regions import region_order
from mmembed.store.schema import ERROR_SCHEMA, NULL_IF_LEFT_OUT

ID_BYTES = 16
KEY = ("path", "field", "segment_index")


def row_id(
    path: str,
    field: str,
    segment_index: int | None,
    cell: str | None = None,
    region: str | None = None,
) -> str:
    """Return the stable id of a row: 32 hexadecimal digits of a hash.

    Args:
        path: of its file.
        field: that embedded it.
        segment_index: which segment of the file or region it is; None for the whole.
        cell: the name of an item in a cell, which then counts in place of the path.
        region: the name of the region of the file that it is; None for all of it.
    """
    return _row_hash(path, field, segment_index, cell, region).hex()


def row_ids(
    paths: Iterable[str],
    fields: Iterable[str],
    segment_indices: Iterable[int | None],
    cells: Iterable[str | None] | None = None,
    regions: Iterable[str | None] | None = None,
) -> pa.Array:
    """Return the :func:`row_id` of each row, as strings ``(rows,)``; no Python text for each."""
    cells = repeat(None) if cells is None else cells
    regions = repeat(None) if regions is None else regions
    digests = b"".join(map(_row_hash, paths, fields, segment_indices, cells, regions))
    rows = len(digests) // ID_BYTES
    ends = np.arange(0, 2 * len(digests) + 1, 2 * ID_BYTES, dtype=np.int32)
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode("ascii"))
    )


def _row_hash(
    path: str, field: str, segment_index: int | None, cell: str | None, region: str | None
) -> bytes:
    item = path if cell is None else f"\0{cell}"  # no path begins with a null byte
    key = f"{item}\0{field}\0{'' if segment_index is None else segment_index}"
    key += "" if region is None else f"\0{region}"
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=ID_BYTES).digest()


def rows_table(
    columns: Mapping[str, Sequence[Any]], vectors: np.ndarray, carried: pa.Table, schema: pa.Schema
) -> pa.Table:
    """Return the rows of a part, sorted by path, field, cell, start of the region and segment.

    Vectors that come in that order, in one piece and of the schema's type are not copied: the
    table looks into ``vectors``, which must stay as it is until the table is written.

    Args:
        columns: those of the schema by name, but for ``id`` and ``embedding``, of equal length
            ``rows``; others are ignored. Those of regions and of the source file are null if
            they lack.
        vectors: float ``(rows, dim)``.
        carried: the other columns of the schema, a row each.
        schema: what :func:`mmembed.store.schema.row_schema` returned.

    Raises:
        ValueError: there is not a vector for each row.
    """
    columns = {"field": columns["modality"], **columns}
    paths, fields, segments = (columns[name] for name in KEY)
    cells = columns.get("cell") or [None] * len(paths)
    lengths = {name: len(columns[name]) for name in schema.names if name in columns}
    lengths |= {name: len(carried) for name in carried.column_names if name in schema.names}
    wrong = {name: length for name, length in lengths.items() if length != len(vectors)}
    if vectors.ndim != 2 or wrong:
        raise ValueError(f"vectors {vectors.shape} do not go with columns of {wrong or lengths}")
    regions = columns.get("region") or [None] * len(paths)
    parts = (
        (cell or "" for cell in cells),
        map(region_order, regions),
        (index or 0 for index in segments),
    )
    keys = list(zip(paths, fields, *parts, strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    arrays = {"id": row_ids(paths, fields, segments, cells, regions)}
    for field in schema:
        if field.name in columns:
            arrays[field.name] = pa.array(columns[field.name], field.type)
        elif field.name in carried.column_names:
            arrays[field.name] = carried[field.name].combine_chunks().cast(field.type)
        elif field.name in NULL_IF_LEFT_OUT:
            arrays[field.name] = pa.nulls(len(vectors), field.type)
    if order != list(range(len(order))):
        places = pa.array(order, pa.int64())
        arrays = {name: values.take(places) for name, values in arrays.items()}
        vectors = vectors[order]
    arrays["embedding"] = _vector_array(vectors, schema.field("embedding").type)
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


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
