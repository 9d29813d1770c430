"""Manifests of the recommender: rows to train on, and every user and item to embed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recommender_log import Log

from mmembed.errors import StoreError
from mmembed.store.table import EmbeddingTable

ROWS_OF_USER = 10  # interactions of a user to train on, on average
LEAST_HISTORY = 3  # interactions before one to train on
VALIDATION_ROWS = 2_000
VALIDATION_SHARE = 0.1  # of the rows, at most


def write_training_rows(log: Log, path: Path, seed: int) -> None:
    """Write the manifest to train on: what users took, and what they had taken before.

    Rows are in time order; the last before the test are the split ``val``.

    Args:
        log: all interactions.
        path: of the manifest.
        seed: of which interactions are taken.
    """
    known = np.flatnonzero((log.split != "test") & (log.age >= LEAST_HISTORY))
    rng = np.random.default_rng([seed, 1])
    end = rng.permutation(known)[: ROWS_OF_USER * len(log.users)]
    end = end[np.argsort(log.time[end], kind="stable")]
    split = np.full(len(end), "train")
    split[len(end) - min(VALIDATION_ROWS, int(len(end) * VALIDATION_SHARE)) :] = "val"
    columns = {
        "user": log.cells(log.histories(log.user[end], end)),
        "item": log.cells(log.descriptions()[log.item[end]]),
        "label": log.items[log.item[end]],  # the same item is no negative of itself
        "split": split,
        "meta_time": log.time[end].astype(str),
    }
    pq.write_table(pa.table(columns), path)


def write_catalogue(log: Log, path: Path) -> None:
    """Write the manifest to embed: every item, and users as they are when the test begins.

    A user who took nothing before the test has no history and no row.
    """
    user = log.with_history
    end = log.starts[user] + np.bincount(log.user[log.split != "test"])[user]
    users, items = log.cells(log.histories(user, end)), log.cells(log.descriptions())
    columns = {
        "id": np.concatenate([keys("user", log.users[user]), keys("item", log.items)]),
        "user": pa.concat_arrays([users, pa.nulls(len(items), users.type)]),
        "item": pa.concat_arrays([pa.nulls(len(users), items.type), items]),
    }
    pq.write_table(pa.table(columns), path)


def keys(field: str, names: np.ndarray) -> np.ndarray:
    """Return the ids of the rows of a field's users or items, such as ``user:u00042``."""
    return np.char.add(f"{field}:", names.astype(str))


def vectors_of(table: EmbeddingTable, field: str, names: np.ndarray) -> np.ndarray:
    """Return the vectors ``(names, dim)`` of a field's users or items.

    Raises:
        StoreError: the table lacks one of them.
    """
    rows = {key: row for row, key in enumerate(table.column("sample_id"))}
    wanted = keys(field, names).tolist()
    missing = [key for key in wanted if key not in rows]
    if missing:
        raise StoreError(f"{table.name}: no vector of {missing[0]}; {len(missing)} are missing")
    return table.vectors[[rows[key] for key in wanted]]
