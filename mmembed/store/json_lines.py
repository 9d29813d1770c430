"""JSONL read into Arrow with every value as it is written: 1.10 is not 1.1, a date stays a text."""

from __future__ import annotations

import io
import itertools
import json
from typing import IO, Any

import pyarrow as pa

CHUNK = 50_000  # lines


class WrittenNumber(float):
    """A number, and the text that it was written as."""

    text: str

    @classmethod
    def of(cls, text: str) -> WrittenNumber:
        """Return the number that a text is."""
        number = cls(text)
        number.text = text
        return number

    def plain(self) -> int | float:
        """Return a whole number as ``int``, any other as ``float``."""
        try:
            return int(self.text)
        except ValueError:
            return float(self)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"names {twice!r} twice")
    return row


DECODER = json.JSONDecoder(
    parse_int=WrittenNumber.of, parse_float=WrittenNumber.of, object_pairs_hook=_once
)


def read_json_lines(file: IO[bytes]) -> pa.Table:
    """Read an object a line into a table; single values are texts, as they are written.

    Columns come in the order in which they are first named. What a line lacks is null; ``true`` and
    ``false`` are texts too. Lists and objects are lists and structs, with numbers in them.

    Args:
        file: UTF-8, with or without a mark at its beginning.

    Raises:
        ValueError: a line that is no object, is empty or names a key twice, or a column whose
            values can't be of one type.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", newline="\n")
    numbered = ((number, line) for number, line in enumerate(text, 1) if line.strip())
    tables = []
    while rows := [_row(line, number) for number, line in itertools.islice(numbered, CHUNK)]:
        names = dict.fromkeys(itertools.chain.from_iterable(rows))
        columns = {name: _column(name, [row.get(name) for row in rows]) for name in names}
        tables.append(pa.table(columns))
    text.detach()
    if not tables:
        raise ValueError("has no line")
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(f"a column holds values of several types: {error}") from None
    kinds = [pa.string() if pa.types.is_null(each.type) else each.type for each in table.schema]
    return table.cast(pa.schema(zip(table.column_names, kinds, strict=True)))


def _row(line: str, number: int) -> dict[str, Any]:
    try:
        row = DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"line {number} is no JSON: {error.msg} at character {error.pos}"
        ) from None
    except ValueError as error:
        raise ValueError(f"line {number} {error}") from None
    except RecursionError:
        raise ValueError(f"line {number} is nested too deeply") from None
    if not isinstance(row, dict) or not row:
        raise ValueError(f"line {number} is no object with a key in it")
    return row


def _column(name: str, values: list[Any]) -> pa.Array:
    if all(value is None for value in values):
        return pa.nulls(len(values))
    nested = any(isinstance(value, (list, dict)) for value in values)
    plain = [_plain(value) for value in values] if nested else [_text(value) for value in values]
    try:
        return pa.array(plain, None if nested else pa.string())
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise ValueError(f"column {name}: {error}") from None


def _text(value: Any) -> str | None:
    if isinstance(value, WrittenNumber):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, WrittenNumber):
        return value.plain()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
