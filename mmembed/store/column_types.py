"""Types that columns of a dataset may have, and what they become when they are read.

Other tools write the same values in other types: texts as ``large_string`` or as a dictionary,
whole numbers as floats, vectors as lists of doubles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line

LISTS = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
TEXTS = ("is_string", "is_large_string", "is_string_view")
BYTES = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary")
NUMBERS = ("is_integer", "is_floating", "is_decimal", "is_null")


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of this type are texts, in any of Arrow's ways."""
    return _is(_values(kind), TEXTS)


def is_number(kind: pa.DataType) -> bool:
    """Return whether values of this type are numbers, or all missing."""
    return _is(_stored(kind), NUMBERS)


def is_numbers(kind: pa.DataType) -> bool:
    """Return whether values of this type are lists of numbers, or all missing."""
    kind = _stored(kind)
    return types.is_null(kind) or (_is(kind, LISTS) and is_number(kind.value_type))


def is_word(kind: pa.DataType) -> bool:
    """Return whether a value of this type is one text, number, time or nothing."""
    kind = _values(kind)
    return not types.is_nested(kind) and not _is(kind, BYTES)


def is_list(kind: pa.DataType) -> bool:
    """Return whether values of this type are lists, in any of Arrow's ways."""
    return _is(_stored(kind), LISTS)


def is_word_list(kind: pa.DataType) -> bool:
    """Return whether a value of this type is a list of such words."""
    return is_list(kind) and is_word(_stored(kind).value_type)


def vector_length(kind: pa.DataType) -> int | None:
    """Return how many floats a vector of this type has, -1 if each its own; None if it is none."""
    kind = _stored(kind)
    if not is_list(kind) or not types.is_floating(kind.value_type):
        return None
    return kind.list_size if types.is_fixed_size_list(kind) else -1


TEXT_COLUMNS = ("id", "path", "modality", "field", "region", "cell", "text")
Rule = tuple[Callable[[pa.DataType], bool], str, pa.DataType | None]
RULES: Mapping[str, Rule] = {  # whether a type fits, what it holds in words, and what it becomes
    **{name: (is_text, "text", pa.string()) for name in TEXT_COLUMNS},
    "segment_index": (is_number, "whole numbers", pa.int32()),
    "start_s": (is_number, "seconds", pa.float64()),
    "end_s": (is_number, "seconds", pa.float64()),
    "start_char": (is_number, "whole numbers", pa.int64()),
    "end_char": (is_number, "whole numbers", pa.int64()),
    "size": (is_number, "whole numbers", pa.int64()),
    "mtime_ns": (is_number, "whole numbers", pa.int64()),
    "width": (is_number, "pixels", pa.int32()),
    "height": (is_number, "pixels", pa.int32()),
    "duration_s": (is_number, "seconds", pa.float64()),
    "sample_rate": (is_number, "whole numbers", pa.int32()),
    "frame_rate": (is_number, "frames a second", pa.float64()),
    "box": (is_numbers, "lists of numbers", pa.list_(pa.float64())),
    "embedding": (lambda kind: vector_length(kind) is not None, "vectors of floats", None),
}
NEVER_NULL = ("id", "path", "modality")


def check_columns(
    table: pa.Table, names: Collection[str], part: str, nullable: Collection[str] = ()
) -> None:
    """Refuse a table that lacks one of these columns of the contract, or has it otherwise.

    Raises:
        StoreError: a column is not there, of a type that does not fit, or lacks values.
    """
    for name in names:
        if name not in table.column_names:
            raise StoreError(f"{part}: has no column {name}")
        fits, words, _ = RULES[name]
        column = table[name]
        if not fits(column.type):
            raise StoreError(f"{part}: column {name} holds {one_line(column.type)}, not {words}")
        if column.null_count and name in NEVER_NULL and name not in nullable:
            raise StoreError(f"{part}: column {name} has no value in {column.null_count:,} rows")


def check_names(names: Collection[str], part: str) -> None:
    """Refuse a file with two columns of one name.

    Raises:
        StoreError: there are.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise StoreError(f"{part}: has {one_line(twice[0])} twice among its columns")


def with_plain_types(table: pa.Table, part: str) -> pa.Table:
    """Return a table with its texts and lists of them as ``string``, and plain numbers.

    Raises:
        StoreError: a column of the contract has a type or values that do not fit.
    """
    check_columns(table, [name for name in table.column_names if name in RULES], part)
    for place, field in enumerate(table.schema):
        kind = _stored(field.type)
        if field.name in RULES:
            kind = RULES[field.name][2] or kind
        elif is_text(kind):
            kind = pa.string()
        elif is_list(kind) and is_text(kind.value_type):
            kind = pa.list_(pa.string())
        if kind != field.type:
            try:
                column = table.column(place).cast(kind)
            except pa.ArrowException as error:
                raise StoreError(
                    f"{part}: column {one_line(field.name)} can't be read as {kind} "
                    f"({one_line(error)})"
                ) from None
            table = table.set_column(place, field.with_type(kind), column)
    return table


def with_fields(table: pa.Table) -> pa.Table:
    """Return a table with a column ``field``; where a row names none, it is its ``modality``."""
    kinds, names = table["modality"], table.column_names
    if "field" not in names:
        kind = table.schema.field("modality")
        return table.add_column(names.index("modality") + 1, kind.with_name("field"), kinds)
    if table["field"].null_count:
        whole = pc.coalesce(table["field"], kinds)
        return table.set_column(names.index("field"), "field", whole)
    return table


def joined(tables: Collection[pa.Table], names: Collection[str]) -> pa.Table:
    """Return the rows of several parts as one table; what a part lacks is null.

    Args:
        tables: of each part.
        names: of each part, for errors.

    Raises:
        StoreError: parts have a column of types that do not go together.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        first = next(iter(names))
        seen: dict[str, tuple[pa.Table, str]] = {}
        for table, part in zip(tables, names, strict=True):
            for name in table.column_names:
                column, before = seen.setdefault(name, (table.select([name]), part))
                try:
                    pa.concat_tables([column, table.select([name])], promote_options="permissive")
                except pa.ArrowException:
                    now, then = table.schema.field(name).type, column.schema.field(0).type
                    raise StoreError(
                        f"{part}: column {one_line(name)} holds {one_line(now)}, but "
                        f"{one_line(then)} in {before}"
                    ) from None
        raise StoreError(f"{first}: other parts do not go with it ({one_line(error)})") from None


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _values(kind: pa.DataType) -> pa.DataType:
    kind = _stored(kind)
    return _values(kind.value_type) if types.is_dictionary(kind) else kind


def _is(kind: pa.DataType, tests: Collection[str]) -> bool:
    known = (getattr(types, test, None) for test in tests)  # views came with later releases
    return any(test is not None and test(kind) for test in known)
