"""The columns and metadata of an embedding dataset; the one place where they are named.

==================  ==================================  =========================================
column              type                                what it says
==================  ==================================  =========================================
id                  string                              hash of path, modality and segment
path                string                              POSIX, relative to the source root
modality            string                              image, audio, video or text
segment_index       int32                               null for images and text
start_s, end_s      float64                             the span, in seconds; null likewise
embedding           fixed_size_list<float32, dim>       the vector, of unit length
size, mtime_ns      int64                               the file as it was read
truncated           bool                                with ``allow_truncated``: it stops early
checksum            string                              with ``checksum``: hash of its content
label, group, …     as in the source                    carried through
==================  ==================================  =========================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line

FORMAT = 1
ID_BYTES = 16
VectorType = Literal["float32", "float16", "list"]

ROW_FIELDS: tuple[pa.Field, ...] = (
    pa.field("id", pa.string(), nullable=False),
    pa.field("path", pa.string(), nullable=False),
    pa.field("modality", pa.string(), nullable=False),
    pa.field("segment_index", pa.int32()),
    pa.field("start_s", pa.float64()),
    pa.field("end_s", pa.float64()),
    pa.field("size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
)
ERROR_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("modality", pa.string()),
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


@dataclass(frozen=True)
class Provenance:
    """What made a dataset; kept in every part's schema metadata and in ``_mmembed.json``.

    Args:
        fingerprint: of the space; rows of different fingerprints are never mixed.
        space: the space's name.
        dim: dimensions of a vector.
        source: the folder that ``path`` is relative to, or the manifest, whose folder it is then.
        settings: other options that change vectors (precision, segments), as plain values.
        format: version of this contract.
    """

    fingerprint: str
    space: str
    dim: int
    source: str = ""
    settings: Mapping[str, str | int | float | None] | None = None
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the provenance as JSON text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, path: str) -> Provenance:
        """Read what :meth:`to_json` wrote; ``path`` is named in errors.

        Raises:
            StoreError: not written by mmembed, or by a version with another format.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            given = fields.get("format")
        except (ValueError, AttributeError, RecursionError):
            raise StoreError(f"{path}: its mmembed metadata can't be read") from None
        if given != FORMAT:
            shown = one_line(repr(given))[:40]
            raise StoreError(f"{path}: store format {shown} is not {FORMAT}; embed it again")
        known = {k: v for k, v in fields.items() if k in cls.__dataclass_fields__}
        made = cls(**{"fingerprint": None, "space": None, "dim": None, **known})
        wrong = next(made._misfits(), None)
        if wrong is not None:
            value = one_line(repr(getattr(made, wrong)))[:40]
            raise StoreError(f"{path}: its mmembed metadata have {value} as {wrong}")
        return made

    def _misfits(self) -> Iterator[str]:
        """Yield the fields that hold another kind of value than they are for."""
        texts = ("fingerprint", "space", "source")
        yield from (name for name in texts if not isinstance(getattr(self, name), str))
        if type(self.dim) is not int or self.dim < 1:
            yield "dim"
        if not isinstance(self.settings, dict | None):
            yield "settings"


def row_id(path: str, modality: str, segment_index: int | None) -> str:
    """Return the stable id of a row: 32 hexadecimal digits of a hash."""
    return _row_hash(path, modality, segment_index).hex()


def row_ids(
    paths: Iterable[str], modalities: Iterable[str], segment_indices: Iterable[int | None]
) -> pa.Array:
    """Return the :func:`row_id` of each row, as strings ``(rows,)``; no Python text for each."""
    digests = b"".join(map(_row_hash, paths, modalities, segment_indices))
    rows = len(digests) // ID_BYTES
    ends = np.arange(0, 2 * len(digests) + 1, 2 * ID_BYTES, dtype=np.int32)
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode("ascii"))
    )


def _row_hash(path: str, modality: str, segment_index: int | None) -> bytes:
    key = f"{path}\0{modality}\0{'' if segment_index is None else segment_index}"
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=ID_BYTES).digest()


def vector_type(dim: int, kind: VectorType) -> pa.DataType:
    """Return the Arrow type of ``embedding``."""
    if kind == "list":
        return pa.list_(pa.field("element", pa.float32()))
    value = pa.float16() if kind == "float16" else pa.float32()
    return pa.list_(pa.field("element", value), dim)


def row_schema(
    provenance: Provenance, carried: Mapping[str, pa.DataType], kind: VectorType = "float32"
) -> pa.Schema:
    """Return the schema of a part file.

    Args:
        provenance: stored in the schema's metadata.
        carried: columns of the source that are carried through, with their types.
        kind: the type of the vectors.

    Raises:
        StoreError: a carried column has the name of one of the contract's own.
    """
    clash = sorted(RESERVED & set(carried))
    if clash:
        raise StoreError(f"column {clash[0]} of the source has the name of a column of the output")
    settings = provenance.settings or {}
    asked = [field for setting, field in ASKED_FIELDS.items() if settings.get(setting)]
    vector = pa.field("embedding", vector_type(provenance.dim, kind), False)
    fields = [*ROW_FIELDS, *asked, vector]
    fields += [pa.field(name, kind_) for name, kind_ in carried.items()]
    metadata = {
        b"mmembed": provenance.to_json().encode(),
        b"huggingface": json.dumps({"info": {"features": _features(fields)}}).encode(),
    }
    return pa.schema(fields, metadata)


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
