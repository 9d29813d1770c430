"""Cells of a manifest that hold their items themselves: texts, ids, tags, and tags with weights.

An item of kind ``text`` is its text. An item of kind ``category`` is JSON: an id is a string
(``"u17"``), tags are a list (``["red", "round"]``), and tags with weights are an object
(``{"red": 0.5}``), whatever type the manifest has them in.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import one_line
from mmembed.modality import Modality
from mmembed.store.column_types import is_list

HASH_BYTES = 16


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
    if not is_list(column.type):
        return texts(column, where)
    try:
        lists = column.cast(pa.list_(pa.string())).to_pylist()
    except pa.ArrowException:
        held = one_line(column.type.value_type)
        raise ManifestError(f"{where} holds {held}, which is no text or number") from None
    some = ([text for text in cell or () if text] or None for cell in lists)
    return pa.chunked_array([pa.array(some, pa.list_(pa.string()))])


def items_of(cell: str | list[str] | None) -> list[str]:
    """Return the items of a cell of :func:`contents`, in their order."""
    if cell is None:
        return []
    return [cell] if isinstance(cell, str) else cell


class CellNames:
    """Names of the items of one column: the sample's id, or a hash of the item, and a number.

    The name of an item stays as it is when rows are moved, and with an id also when the item
    changes. An item without an id that changes is another item.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, sample: str | None, place: int, content: str) -> str:
        """Return the name of an item, such as ``id:17#0``.

        Args:
            sample: the id of its sample, which no other sample has; None if it has none.
            place: which of the items of its cell it is.
            content: the item.
        """
        if sample is not None:
            return f"id:{sample}#{place}"
        hashed = content_hash(content)
        self._seen[hashed] += 1
        return f"content:{hashed}#{self._seen[hashed] - 1}"


def content_hash(content: str) -> str:
    """Return a hash of an item's content, 32 hexadecimal digits."""
    data = content.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=HASH_BYTES).hexdigest()


def labels(column: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """Return a column of texts as lists of what stands between a separator; lists as they are.

    Blanks around a separator belong to it, and nothing between two of them is no label.
    """
    if not types.is_string(column.type):
        return column
    parts = ((text or "").split(separator) for text in column.to_pylist())
    lists = ([bare for part in each if (bare := part.strip())] or None for each in parts)
    return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])


def texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return a column of texts or numbers as strings; an empty one is null, and so is a NaN.

    Raises:
        ManifestError: its type can't be told as a text.
    """
    if types.is_float32(column.type) or types.is_float64(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        strings = column.cast(pa.string())
    except pa.ArrowException:
        held = one_line(column.type)
        raise ManifestError(f"{where} holds {held}, which is no text or number") from None
    return pc.if_else(pc.equal(strings, ""), pa.scalar(None, pa.string()), strings)


def _categories(column: pa.ChunkedArray, where: str) -> Iterator[str | None]:
    for row, cell in enumerate(column.to_pylist()):
        if isinstance(cell, dict):  # a struct of JSONL has every tag of the table in each row
            cell = {tag: weight for tag, weight in cell.items() if weight is not None}
        empty = cell is None or cell == "" or cell == [] or cell == {}
        yield None if empty else category_content(cell, f"{where}, row {row},")


def category_content(cell: Any, where: str) -> str:
    """Return an id, a list of tags, or tags with weights (a mapping, or pairs) as JSON.

    Args:
        cell: what it holds.
        where: names it in errors.

    Raises:
        ManifestError: a tag that is no text or whole number, or a weight that is no number.
    """
    if isinstance(cell, dict):
        return _json(_weighted(cell.items(), where))
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
