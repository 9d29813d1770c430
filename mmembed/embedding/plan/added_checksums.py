"""Checksums added to the rows of files that were embedded without, and did not change since."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.embedding.plan.catalog import Catalog


def with_checksums(table: pa.Table, keys: np.ndarray, files: Catalog) -> pa.Table:
    """Return rows or errors with the checksums of their files, where these are known now."""
    checksums = files.checksums(keys.tolist())
    if "checksum" not in table.column_names:
        return table.append_column("checksum", checksums)
    checksums = pc.coalesce(checksums, table["checksum"].cast(pa.string()))
    return table.set_column(table.column_names.index("checksum"), "checksum", checksums)


def without_checksums(table: pa.Table, keys: np.ndarray, files: Catalog) -> np.ndarray:
    """Return the keys of the rows or errors that lack a checksum which is known now."""
    if not files.by_checksum:
        return keys[:0]
    lack = files.checksums(keys.tolist()).is_valid()
    if "checksum" in table.column_names:
        lack = pc.and_(lack, table["checksum"].is_null())
    return keys[lack.to_numpy(zero_copy_only=False)]
