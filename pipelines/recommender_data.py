"""Interactions and items of the recommender: made from a seed, written as two Parquet tables.

Every user has a taste, and every item a place, in 16 dimensions. Tastes drift: after three months
half of one is another. A user is shown items by their popularity, which falls as Zipf's law has
it, and takes the one that suits the taste of that moment best, but for some chance; nobody takes
an item twice. Items have 3 to 8 tags, likely those near their place. The last tenth of the year is
the test, and a twentieth of the items is not there before it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

DIM = 16
TAGS = 120
TAGS_OF_ITEM = (3, 8)
TAG_SHARPNESS = 3.0
DAYS = 365
SPLITS = {"train": 0.8, "val": 0.9, "test": 1.0}  # the end of each, as a share of the year
NEW_ITEMS = 0.05
ZIPF = 1.0
SHOWN = 40
TASTE_SHARPNESS = 3.0
KNOT_DAYS = 30
KEPT_OF_TASTE = 0.8  # correlation from knot to knot
FIRST_DAY = np.datetime64("2025-01-01", "s")
ROWS_AT_ONCE = 20_000
ROUNDS = 10  # of showing others to those who would take an item again


@dataclass(frozen=True)
class Size:
    """Amounts of users, items and interactions.

    Args:
        users: number of users.
        items: number of items.
        interactions: of a user, on average.
    """

    users: int = 20_000
    items: int = 5_000
    interactions: int = 50


@dataclass(frozen=True)
class World:
    """All that decides who takes which item.

    Attributes:
        tastes: ``(knots, users, 16)``, every 30 days.
        places: of the items ``(items, 16)``.
        popularity: weight of each item ``(items,)``.
        new: whether an item comes with the test ``(items,)``.
        tagged: whether an item has a tag ``(items, tags)``.
    """

    tastes: np.ndarray
    places: np.ndarray
    popularity: np.ndarray
    new: np.ndarray
    tagged: np.ndarray

    @classmethod
    def drawn(cls, size: Size, rng: np.random.Generator) -> World:
        """Return a world of that size."""
        knots = DAYS // KNOT_DAYS + 2
        tastes = rng.standard_normal((knots, size.users, DIM), np.float32)
        for before, taste in itertools.pairwise(tastes):
            taste *= np.sqrt(1 - KEPT_OF_TASTE**2)
            taste += KEPT_OF_TASTE * before
        places = rng.standard_normal((size.items, DIM), np.float32)
        new = np.zeros(size.items, bool)
        new[rng.permutation(size.items)[: round(NEW_ITEMS * size.items)]] = True
        popularity = 1 / (1.0 + rng.permutation(size.items)) ** ZIPF
        return cls(tastes, places, popularity, new, _tagged(places, rng))

    def taste(self, user: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Return the tastes of users at a time, of unit length ``(rows, 16)``."""
        knot, share = np.divmod(day / KNOT_DAYS, 1)
        knot, share = knot.astype(int), share.astype(np.float32)[:, None]
        taste = (1 - share) * self.tastes[knot, user] + share * self.tastes[knot + 1, user]
        return taste / np.linalg.norm(taste, axis=1, keepdims=True)


def make_tables(size: Size, seed: int) -> tuple[pa.Table, pa.Table]:
    """Return the interactions (user, item, time, split), in time order, and the items (item, tags).

    Args:
        size: how much of everything.
        seed: of all of it; the same seed and size give the same tables.
    """
    rng = np.random.default_rng([seed, 0])
    world = World.drawn(size, rng)
    user, item, day = draw_interactions(world, size.interactions, rng)
    ends = np.array(list(SPLITS.values())) * DAYS
    split = np.array(list(SPLITS))[np.searchsorted(ends, day, side="right")]
    time = FIRST_DAY + (day * 86_400).astype("timedelta64[s]")
    users, items = names("u", size.users), names("i", size.items)
    columns = {"user": users[user], "item": items[item], "time": time, "split": split}
    tags = names("t", TAGS)
    listed = [tags[row].tolist() for row in world.tagged]
    return pa.table(columns), pa.table({"item": items, "tags": listed})


def names(letter: str, count: int) -> np.ndarray:
    """Return names such as ``u00042``, in the order of their numbers."""
    return np.char.add(letter, np.char.zfill(np.arange(count).astype(str), len(str(count - 1))))


def draw_interactions(
    world: World, per_user: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return user, item and day of each interaction, in time order, ``(interactions,)`` each.

    Who takes an item again is shown others; after some rounds what is still taken again is left
    out.
    """
    users = world.tastes.shape[1]
    user = np.repeat(np.arange(users), rng.poisson(per_user, users))
    day = rng.random(len(user)) * DAYS
    order = np.argsort(day, kind="stable")
    user, day = user[order], day[order]
    test = day >= SPLITS["val"] * DAYS
    item, again = np.empty(len(user), int), np.ones(len(user), bool)
    for _ in range(ROUNDS):
        for late in (False, True):
            rows = np.flatnonzero(again & (test == late))
            weights = np.where(world.new & (not late), 0, world.popularity)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[start : start + ROWS_AT_ONCE]
                item[some] = _choices(world, user[some], day[some], weights.cumsum(), rng)
        again[:] = True
        again[np.unique(user * len(world.places) + item, return_index=True)[1]] = False
        if not again.any():
            break
    return user[~again], item[~again], day[~again]


def _choices(
    world: World,
    user: np.ndarray,
    day: np.ndarray,
    cumulated: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the item that each user takes of those that are shown ``(rows,)``."""
    drawn = rng.random((len(user), SHOWN)) * cumulated[-1]
    shown = np.searchsorted(cumulated, drawn, side="right")
    suits = np.einsum("rsd,rd->rs", world.places[shown], world.taste(user, day))
    best = (TASTE_SHARPNESS * suits + rng.gumbel(size=shown.shape)).argmax(1)
    return shown[np.arange(len(user)), best]


def _tagged(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    directions = rng.standard_normal((TAGS, DIM))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    likely = TAG_SHARPNESS * places @ directions.T + rng.gumbel(size=(len(places), TAGS))
    fewest, most = TAGS_OF_ITEM
    counts = rng.integers(fewest, most + 1, len(places))
    rank = np.argsort(np.argsort(-likely, axis=1), axis=1)
    return rank < counts[:, None]
