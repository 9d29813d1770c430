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
NAMELESS = 0.3  # share of the rows whose item is its tags alone
VALIDATION_ROWS = 2_000  # of split val; enough to see how the training goes
VALIDATION_USERS = 5_000  # whose recommendations settings are chosen by


def write_training_rows(log: Log, path: Path, seed: int) -> None:
    """Write the manifest to train on: what users took, and what they had taken before.

    Rows are in time order, and of the splits ``train`` and ``val``. In some of them the item has
    no name, as one has that is new; so tags learn to stand for an item.

    Args:
        log: all interactions.
        path: of the manifest.
        seed: of which interactions are taken, and which names are left out.
    """
    rng = np.random.default_rng([seed, 1])
    known = rng.permutation(np.flatnonzero(log.age >= LEAST_HISTORY))
    train = known[log.split[known] == "train"][: ROWS_OF_USER * len(log.users)]
    val = known[log.split[known] == "val"][:VALIDATION_ROWS]
    end = np.concatenate([train, val])
    end = end[np.argsort(log.time[end], kind="stable")]
    item, named = log.item[end], rng.random(len(end)) >= NAMELESS
    columns = {
        "user": log.cells(log.histories(log.user[end], end)),
        "item": log.cells(log.descriptions(item, named)),
        "label": log.items[item],  # the same item is no negative of itself
        "split": log.split[end],
        "meta_time": log.time[end].astype(str),
    }
    pq.write_table(pa.table(columns), path)


def write_catalogue(log: Log, path: Path) -> None:
    """Write the manifest to embed: every item, and users as two splits begin.

    A user who took nothing before has no history and no row.
    """
    all_items = np.arange(len(log.items))
    items = log.cells(log.descriptions(all_items, np.ones(len(all_items), bool)))
    user, end = log.as_begins("test")
    former, former_end = validation_users(log)
    users = log.cells(log.histories(np.append(user, former), np.append(end, former_end)))
    ids = keys("user", log.users[user]), keys("val", log.users[former]), keys("item", log.items)
    columns = {
        "id": np.concatenate(ids),
        "user": pa.concat_arrays([users, pa.nulls(len(items), users.type)]),
        "item": pa.concat_arrays([pa.nulls(len(users), items.type), items]),
    }
    pq.write_table(pa.table(columns), path)


def validation_users(log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Return some users as split ``val`` begins, as :meth:`Log.as_begins` does."""
    user, end = log.as_begins("val")
    some = slice(None, None, -(-len(user) // VALIDATION_USERS) or None)
    return user[some], end[some]


def keys(kind: str, names: np.ndarray) -> np.ndarray:
    """Return the ids of the rows of users or items, such as ``user:u00042``.

    Args:
        kind: ``item``, ``user`` (as the test begins) or ``val`` (a user, as that split begins).
        names: of the users or items ``(rows,)``.
    """
    return np.char.add(f"{kind}:", names.astype(str))


def vectors_of(table: EmbeddingTable, kind: str, names: np.ndarray) -> np.ndarray:
    """Return the vectors ``(names, dim)`` of users or items.

    Raises:
        StoreError: the table lacks one of them.
    """
    rows = {key: row for row, key in enumerate(table.column("sample_id"))}
    wanted = keys(kind, names).tolist()
    missing = [key for key in wanted if key not in rows]
    if missing:
        raise StoreError(f"{table.name}: no vector of {missing[0]}; {len(missing)} are missing")
    return table.vectors[[rows[key] for key in wanted]]
