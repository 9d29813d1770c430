"""Interactions of users in time order, and bags of what is known of users and items.

A *bag* is a row of a sparse matrix: a weight for each item, then for each tag.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from mmembed.errors import ManifestError

RECENT = 20  # items of a user's bag
HALF_LIFE = 8.0  # an item counts half as much as one that was taken so many items later
DIGITS = 3  # of a weight in a cell
SPLITS = ("train", "val", "test")  # in the order of time
TAG = "tag:"  # before a tag, so that it is no item's name


@dataclass(frozen=True)
class Log:
    """Interactions by user, and those of a user in time order.

    Attributes:
        users: names ``(users,)``.
        items: names ``(items,)``.
        tags: names ``(tags,)``.
        tagged: which item has which tag, sparse ``(items, tags)``.
        user, item: numbers of the interactions' users and items ``(interactions,)``.
        time: of the interactions ``(interactions,)``, comparable.
        split: of the interactions ``(interactions,)``: ``train``, ``val`` or ``test``.
    """

    users: np.ndarray
    items: np.ndarray
    tags: np.ndarray
    tagged: sparse.csr_matrix
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    split: np.ndarray

    @classmethod
    def read(cls, interactions: Path, items: Path) -> Log:
        """Read the two tables of a recommender.

        Args:
            interactions: Parquet with ``user``, ``item``, ``time`` and ``split``.
            items: Parquet with ``item`` and ``tags``, a list; every item once.

        Raises:
            ManifestError: an interaction is with an item that the second table lacks, or the
                splits do not follow one another in time.
        """
        table = pq.read_table(interactions, columns=["user", "item", "time", "split"])
        catalogue = pq.read_table(items, columns=["item", "tags"])
        item = pc.index_in(table["item"], catalogue["item"].combine_chunks())
        if item.null_count:
            missing = table["item"].filter(pc.is_null(item))[0]
            raise ManifestError(f"{interactions}: item {missing} is not in {items}")
        user = table["user"].combine_chunks().dictionary_encode()
        user_code, item_code = np.asarray(user.indices), np.asarray(item)
        time, split = table["time"].to_numpy(), table["split"].to_numpy()
        _check_splits(time, split, interactions)
        order = np.lexsort((time, user_code))
        tags = catalogue["tags"].combine_chunks()
        tag = tags.flatten().dictionary_encode()
        has = np.ones(len(tag), np.float32), np.asarray(tag.indices), np.asarray(tags.offsets)
        return cls(
            np.asarray(user.dictionary),
            np.asarray(catalogue["item"]),
            np.asarray(tag.dictionary),
            sparse.csr_matrix(has, (len(catalogue), len(tag.dictionary))),
            user_code[order],
            item_code[order],
            time[order],
            split[order],
        )

    @property
    def starts(self) -> np.ndarray:
        """The first interaction of each user ``(users,)``."""
        return np.searchsorted(self.user, np.arange(len(self.users)))

    @property
    def age(self) -> np.ndarray:
        """Number of interactions of the same user before each ``(interactions,)``."""
        return np.arange(len(self.user)) - self.starts[self.user]

    def matrix(self, *splits: str) -> sparse.csr_matrix:
        """Return who took what in some splits, ones of ``(users, items)``."""
        chosen = np.isin(self.split, splits)
        user, item = self.user[chosen], self.item[chosen]
        shape = len(self.users), len(self.items)
        taken = sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape)
        taken.data[:] = 1  # also of what was taken twice
        return taken

    def as_begins(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the users who took something before a split, and where that ends.

        Args:
            split: ``val`` or ``test``.

        Returns:
            user: numbers ``(rows,)``, ascending.
            end: the interaction before which their history ends ``(rows,)``.
        """
        earlier = np.isin(self.split, SPLITS[: SPLITS.index(split)])
        counts = np.bincount(self.user[earlier], minlength=len(self.users))
        user = np.flatnonzero(counts)
        return user, self.starts[user] + counts[user]

    def histories(self, user: np.ndarray, end: np.ndarray) -> sparse.csr_matrix:
        """Return the bags ``(rows, items)`` of what users took last.

        The weight of an item halves every :data:`HALF_LIFE` items.

        Args:
            user: number of the user of each row.
            end: the interaction before which the bag of each row ends.
        """
        ago = np.arange(RECENT)
        positions = end[:, None] - 1 - ago
        row, age = np.nonzero(positions >= self.starts[user][:, None])
        weights = (0.5 ** (ago / HALF_LIFE))[age].astype(np.float32)
        cells = weights, (row, self.item[positions[row, age]])
        return sparse.csr_matrix(cells, (len(user), len(self.items)))

    def descriptions(self, item: np.ndarray, named: np.ndarray) -> sparse.csr_matrix:
        """Return the bags ``(rows, items + tags)`` of items.

        Args:
            item: number of the item of each row.
            named: whether the bag holds its name beside its tags ``(rows,)``; that of an item
                without tags always does.
        """
        tagged = self.tagged[item]
        row = np.flatnonzero(named | (np.diff(tagged.indptr) == 0))
        cells = np.ones(len(row), np.float32), (row, item[row])
        names = sparse.csr_matrix(cells, (len(item), len(self.items)))
        return sparse.hstack([names, tagged], "csr")

    def cells(self, bags: sparse.csr_matrix) -> pa.MapArray:
        """Return bags, of items alone or of items and tags, as cells: weights by name."""
        named = np.concatenate([self.items, np.char.add(TAG, self.tags.astype(str))])
        keys = pa.array(named.astype(str)).take(pa.array(bags.indices))
        weights = pa.array(bags.data.astype(float).round(DIGITS))
        return pa.MapArray.from_arrays(pa.array(bags.indptr, pa.int32()), keys, weights)


def _check_splits(time: np.ndarray, split: np.ndarray, path: Path) -> None:
    others = sorted({*split.tolist()} - {*SPLITS}, key=str)
    if others:
        raise ManifestError(f"{path}: split {others[0]} is none of {', '.join(SPLITS)}")
    times = {name: time[split == name] for name in SPLITS if (split == name).any()}
    for (before, early), (after, late) in itertools.pairwise(times.items()):
        if early.max() > late.min():
            raise ManifestError(
                f"{path}: some of split {before} is later than some of {after}. Split by time."
            )
