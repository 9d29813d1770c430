"""Cells of a manifest that hold their items themselves: texts, ids, tags, and tags with weights.

An item of kind ``text`` is its text. An item of kind ``category`` is JSON: an id is a string
(``"u17"``), tags are a list (``["red", "round"]``), and tags with weights are an object
(``{"red": 0.5}``), whatever type the manifest has them in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import one_line
from mmembed.modality import Modality

HASH_BYTES = 8


def contents(column: pa.ChunkedArray, kind: Modality, where: str) -> pa.ChunkedArray:
    """Return the items of a column: strings ``(rows,)``, or lists of them where cells hold several.

    A cell that is empty, or holds an empty list, is null.

    Args:
        column: as the manifest has it.
        kind: ``category``, whose items become JSON, or another whose items are texts.
        where: names the column in errors.

    Raises:
        ManifestError: its type can't hold such items.
    """
    if kind == "category":
        return pa.chunked_array([pa.array(_categories(column, where), pa.string())])
    if not types.is_list(column.type) and not types.is_large_list(column.type):
        return _texts(column, where)
    lists = [
        [text for text in _texts(pa.chunked_array([pa.array(cell)]), where).to_pylist() if text]
        if cell
        else []
        for cell in column.to_pylist()
    ]
    return pa.chunked_array([pa.array([some or None for some in lists], pa.list_(pa.string()))])


def items_of(cell: str | list[str] | None) -> list[str]:
    """Return the items of a cell of :func:`contents`, in their order."""
    if cell is None:
        return []
    return [cell] if isinstance(cell, str) else cell


class CellNames:
    """Names of items: the id of their sample, or a hash of their content, and the occurrence.

    The name of an item stays as it is when rows are moved, and with an id also when its content
    changes. An item without an id that changes is another item.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}

    def name(self, field: str, sample: str | None, content: str) -> str:
        """Return the name of the next item of a sample's field, such as ``17#0``."""
        base = f"id:{sample}" if sample is not None else f"content:{content_hash(content)}"
        occurrence = self._seen.get((field, base), 0)
        self._seen[field, base] = occurrence + 1
        return f"{base}#{occurrence}"


def content_hash(content: str) -> str:
    """Return a hash of an item's content, 16 hexadecimal digits."""
    data = content.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=HASH_BYTES).hexdigest()


def _texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    try:
        texts = column.cast(pa.string())
    except pa.ArrowException:
        raise ManifestError(f"{where} holds {one_line(column.type)}, which is no text") from None
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _categories(column: pa.ChunkedArray, where: str) -> Iterator[str | None]:
    for row, cell in enumerate(column.to_pylist()):
        if isinstance(cell, dict):  # a struct of JSONL has every tag of the table in each row
            cell = [(tag, weight) for tag, weight in cell.items() if weight is not None]
        yield None if cell in (None, "", []) else _category(cell, f"{where}, row {row},")


def _category(cell: Any, where: str) -> str:
    if not isinstance(cell, list):
        return _json(_tag(cell, where))
    if cell and all(isinstance(each, tuple) for each in cell):
        return _json(_weighted(cell, where))
    return _json([_tag(each, where) for each in cell])


def _weighted(pairs: Iterable[tuple[Any, Any]], where: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for tag, weight in pairs:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight != weight:
            raise ManifestError(f"{where} has {one_line(repr(weight))[:40]} as the weight of a tag")
        name = _tag(tag, where)
        weights[name] = weights.get(name, 0.0) + float(weight)
    return weights


def _tag(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ManifestError(f"{where} has {one_line(repr(value))[:40]} as a tag, not a text or id")
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
