"""Merging the small parts of a dataset; no row changes, and none is there twice.

The merged part is written whole, a note of what replaces what beside it, and only then are the
small parts removed. If that is interrupted, the note tells readers of this package which parts
count, and the next run finishes the work. Vectors are copied a row group at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.errors import ConfigError, StoreError
from mmembed.errors.plain_text import one_line
from mmembed.paths import Place, place
from mmembed.store.column_types import joined
from mmembed.store.dataset_files import ERRORS, part_files
from mmembed.store.lock import locked
from mmembed.store.part_file import Footer, read_footer, read_part_errors, read_row_groups
from mmembed.store.table import check_same_space
from mmembed.store.writer import (
    ROW_GROUP_ROWS,
    finish_compaction,
    note_compaction,
    parquet_options,
    remove_leftovers,
    write_parquet,
    write_whole,
)

PART_ROWS = 250_000


@dataclass(frozen=True)
class CompactSummary:
    """What :func:`compact` did.

    Attributes:
        out: the dataset.
        before: number of parts that there were.
        after: number of parts now.
        rows: rows in merged parts.
    """

    out: Place
    before: int
    after: int
    rows: int

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.out}: {self.before:,} parts became {self.after:,}; {self.rows:,} rows moved"


def compact(out: str | Path, part_rows: int = PART_ROWS) -> CompactSummary:
    """Merge the small parts of a dataset into larger ones.

    Args:
        out: the dataset, at a path or URL.
        part_rows: parts are merged until they have this many rows.

    Raises:
        StoreError: no dataset there, parts of different spaces, or another run is writing to it.
        ConfigError: ``part_rows`` is not positive.
    """
    if part_rows < 1:
        raise ConfigError("must be positive", "part_rows", part_rows)
    dataset = place(out)
    if not part_files(dataset) or dataset.is_file():
        raise StoreError(f"{dataset}: no part-*.parquet in it. Run `mmembed embed` first.")
    with locked(dataset):
        remove_leftovers(dataset)
        parts = [read_footer(part) for part in part_files(dataset)]
        first = parts[0]
        for other in parts:
            check_same_space(first.provenance, str(first.part), other.provenance, str(other.part))
        rows = after = 0
        for group in _groups(parts, part_rows):
            after += 1
            if len(group) > 1:
                rows += _merge(dataset, group)
    return CompactSummary(dataset, len(parts), after, rows)


def _groups(parts: Iterable[Footer], part_rows: int) -> Iterator[list[Footer]]:
    """Yield parts that become one: of one schema, and not many more than ``part_rows`` rows."""
    group: list[Footer] = []
    total = 0
    for part in parts:
        if group:
            alike = part.schema.equals(group[0].schema, check_metadata=True)
            if not alike or total + part.rows > part_rows:
                yield group
                group, total = [], 0
        group.append(part)
        total += part.rows
    if group:
        yield group


def _merge(out: Place, parts: list[Footer]) -> int:
    names = [footer.part.name for footer in parts]
    digest = hashlib.blake2b("\n".join(names).encode(), digest_size=10).hexdigest()
    merged = f"part-{digest}.parquet"
    errors = {name: read_part_errors(out, name) for name in names}
    tables = {str(out / ERRORS / name): t for name, t in errors.items() if t is not None}
    if tables:
        table = joined(tables.values(), list(tables))
        write_whole(out / ERRORS / merged, lambda path: write_parquet(table, path))
    note_compaction(out, merged, names)
    write_whole(out / merged, lambda path: _copy(parts, path))
    finish_compaction(out)
    return sum(footer.rows for footer in parts)


def _copy(parts: list[Footer], target: Path) -> None:
    schema = parts[0].schema
    with pq.ParquetWriter(target, schema, **parquet_options(schema)) as writer:
        held: list[pa.Table] = []
        for footer in parts:
            rows = 0
            for group in read_row_groups(footer.part):
                rows += len(group)
                held.append(_as(schema, group, footer))
                if sum(map(len, held)) >= ROW_GROUP_ROWS:
                    writer.write_table(pa.concat_tables(held), row_group_size=ROW_GROUP_ROWS)
                    held = []
            if rows != footer.rows:
                raise StoreError(f"{footer.part}: has {rows:,} rows, but says {footer.rows:,}")
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=ROW_GROUP_ROWS)


def _as(schema: pa.Schema, rows: pa.Table, footer: Footer) -> pa.Table:
    try:
        return rows.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise StoreError(f"{footer.part}: can't be merged ({one_line(error)})") from None
