"""Several parts of a dataset merged into one, so that no row is lost or there twice.

The merged part is written whole, a note of what replaces what beside it, and only then are the
small parts removed. If that is interrupted, the note tells readers of this package which parts
count, and the next run finishes the work. Vectors are copied a row group at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line
from mmembed.store.column_types import joined
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.dataset_files import ERRORS
from mmembed.store.part_file import (
    ROW_GROUP_ROWS,
    Footer,
    parquet_options,
    read_row_groups,
    write_parquet,
)
from mmembed.store.whole_file import write_whole


def merge_parts(dataset: EmbeddingDataset, parts: Sequence[Footer]) -> str:
    """Merge parts of one schema into one, and return its name.

    Args:
        dataset: what they are of; it is locked.
        parts: their footers, two at least.

    Raises:
        StoreError: a part can't be read or is not what its footer says, the disk is full, or
            something can't be removed.
    """
    names = [footer.part.name for footer in parts]
    digest = hashlib.blake2b("\n".join(names).encode(), digest_size=10).hexdigest()
    merged = f"part-{digest}.parquet"
    beside = dataset.folder / ERRORS
    errors = {name: dataset.errors_of(name) for name in names}
    tables = {str(beside / name): table for name, table in errors.items() if table is not None}
    if tables:
        table = joined(tables.values(), list(tables))
        write_whole(beside / merged, lambda path: write_parquet(table, path))
    dataset.note_merge(merged, names)
    write_whole(dataset.folder / merged, lambda path: _copy(parts, path))
    dataset.finish_merge()
    return merged


def _copy(parts: Sequence[Footer], target: Path) -> None:
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
