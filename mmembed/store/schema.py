"""The columns and metadata of an embedding dataset; the one place where they are named.

==================  ==================================  =========================================
column              type                                what it says
==================  ==================================  =========================================
id                  string                              hash of path (or cell), field, region and
                                                        segment
path                string                              POSIX, relative to the source root; of an
                                                        item in a cell, the manifest
modality            string                              image, audio, video, text, category …
field               string                              the field of the space that embedded it
segment_index       int32                               null for what is taken whole
start_s, end_s      float64                             the span, in seconds; null likewise
region              string                              the part of the file that a manifest asks
                                                        for: ``t=1.5,3``, ``xywh=10,20,30,40``
box                 fixed_size_list<double, 4>          x, y, width, height of such a part of a
                                                        picture, in pixels
embedding           fixed_size_list<float32, dim>       the vector, of unit length
size, mtime_ns      int64                               the file as it was read
width, height       int32                               pixels of the source file's picture, upright
duration_s          float64                             seconds that the source file lasts
sample_rate         int32                               of its sound, in Hz
frame_rate          float64                             of its pictures, a second
truncated           bool                                with ``allow_truncated``: it stops early
checksum            string                              hash of the content: with ``checksum``, and
                                                        of items in cells
cell                string                              the item's name in its manifest; null for
                                                        a file
text                string                              the words that were embedded, or the ids
start_char,         int64                               the span of a text, in characters
end_char
label, group, …     as in the source                    carried through
==================  ==================================  =========================================

The columns from ``cell`` on are there where the space has a field of texts or ids. Rows from before
there were fields have no column ``field``: theirs is ``modality``. Those from ``width`` on are null
where they do not apply or the file does not say. They, ``region`` and ``box`` are absent in older
parts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.store.provenance import Provenance

MADE_BY = b"mmembed"  # key of the provenance among a schema's metadata
VectorType = Literal["float32", "float16", "list"]

ROW_FIELDS: tuple[pa.Field, ...] = (
    pa.field("id", pa.string(), nullable=False),
    pa.field("path", pa.string(), nullable=False),
    pa.field("modality", pa.string(), nullable=False),
    pa.field("field", pa.string(), nullable=False),
    pa.field("segment_index", pa.int32()),
    pa.field("start_s", pa.float64()),
    pa.field("end_s", pa.float64()),
    pa.field("region", pa.string()),
    pa.field("box", pa.list_(pa.field("element", pa.float64()), 4)),
    pa.field("size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("duration_s", pa.float64()),
    pa.field("sample_rate", pa.int32()),
    pa.field("frame_rate", pa.float64()),
)
OF_SOURCE_FILE = frozenset({"width", "height", "duration_s", "sample_rate", "frame_rate"})
NULL_IF_LEFT_OUT = OF_SOURCE_FILE | {"region", "box"}
LATER = NULL_IF_LEFT_OUT | {"field"}  # columns that older datasets do not have
CELL_FIELDS: tuple[pa.Field, ...] = (
    pa.field("cell", pa.string()),
    pa.field("text", pa.string()),
    pa.field("start_char", pa.int64()),
    pa.field("end_char", pa.int64()),
)
ERROR_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("modality", pa.string()),
        pa.field("field", pa.string()),
        pa.field("cell", pa.string()),
        pa.field("region", pa.string()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("decoder", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("checksum", pa.string()),
    ]
)
ASKED_FIELDS: Mapping[str, pa.Field] = {  # by the setting that asks for them
    "allow_truncated": pa.field("truncated", pa.bool_(), nullable=False),
    "checksum": pa.field("checksum", pa.string()),
}
RESERVED = frozenset(f.name for f in (*ROW_FIELDS, *ASKED_FIELDS.values())) | {"embedding"}
CELL_COLUMNS = frozenset(f.name for f in CELL_FIELDS)


def own_columns(names: Collection[str]) -> frozenset[str]:
    """Return the names that the contract gives columns of a part with the columns ``names``."""
    return RESERVED | CELL_COLUMNS if "cell" in names else RESERVED


def vector_type(dim: int, kind: VectorType) -> pa.DataType:
    """Return the Arrow type of ``embedding``."""
    if kind == "list":
        return pa.list_(pa.field("element", pa.float32()))
    value = pa.float16() if kind == "float16" else pa.float32()
    return pa.list_(pa.field("element", value), dim)


def row_schema(
    provenance: Provenance,
    carried: Mapping[str, pa.DataType],
    kind: VectorType = "float32",
    *,
    with_cells: bool = False,
) -> pa.Schema:
    """Return the schema of a part file.

    Args:
        provenance: stored in the schema's metadata.
        carried: columns of the source that are carried through, with their types.
        kind: the type of the vectors.
        with_cells: whether the space has a field of texts or ids.

    Raises:
        StoreError: a carried column has the name of one of the contract's own.
    """
    cells = CELL_FIELDS if with_cells else ()
    clash = sorted((RESERVED | {column.name for column in cells}) & set(carried))
    if clash:
        raise StoreError(f"column {clash[0]} of the source has the name of a column of the output")
    settings = provenance.settings or {}
    asked = [
        field
        for setting, field in ASKED_FIELDS.items()
        if settings.get(setting) or (with_cells and setting == "checksum")
    ]
    vector = pa.field("embedding", vector_type(provenance.dim, kind), False)
    fields = [*ROW_FIELDS, *asked, *cells, vector]
    fields += [pa.field(name, kind_) for name, kind_ in carried.items()]
    metadata = {
        MADE_BY: provenance.to_json().encode(),
        b"huggingface": json.dumps({"info": {"features": _features(fields)}}).encode(),
    }
    return pa.schema(fields, metadata)


def stored_provenance(schema: pa.Schema, part: str) -> Provenance | None:
    """Return the provenance in a schema's metadata; None if there is none.

    Raises:
        StoreError: it can't be read; ``part`` is named.
    """
    text = (schema.metadata or {}).get(MADE_BY)
    return None if text is None else Provenance.from_json(text, part)


def with_libraries(schema: pa.Schema, libraries: Mapping[str, str] | None) -> pa.Schema:
    """Return the schema of a part whose rows were decoded by these versions of libraries.

    Args:
        schema: as :func:`row_schema` returned it.
        libraries: as in :class:`~mmembed.store.provenance.Provenance`.
    """
    return _with_provenance(schema, libraries=libraries)


def with_source(schema: pa.Schema, source: str) -> pa.Schema:
    """Return the schema of a part whose rows are of the files of ``source``."""
    return _with_provenance(schema, source=source)


def _with_provenance(schema: pa.Schema, **changed: Any) -> pa.Schema:
    """Return a schema whose provenance, if it has one, says other things."""
    made = stored_provenance(schema, "the schema")
    if made is None:
        return schema
    text = replace(made, **changed).to_json().encode()
    return schema.with_metadata({**schema.metadata, MADE_BY: text})


def _features(fields: list[pa.Field]) -> dict[str, Any]:
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    features: dict[str, Any] = {}
    for field in fields:
        kind = field.type
        if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            value = {
                "dtype": names.get(str(kind.value_type), str(kind.value_type)),
                "_type": "Value",
            }
            length = kind.list_size if pa.types.is_fixed_size_list(kind) else -1
            features[field.name] = {"feature": value, "length": length, "_type": "Sequence"}
        else:
            features[field.name] = {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
    return features
