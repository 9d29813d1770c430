from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "pipelines"))

import recommender_data as data  # noqa: E402

SIZE = data.Size(users=1500, items=1000, interactions=40)


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    return data.make_tables(SIZE, seed=0)


@pytest.fixture(scope="module")
def rows(tables: tuple[pa.Table, pa.Table]) -> list[dict[str, object]]:
    return tables[0].to_pylist()


def test_usual_size_is_the_stated_one() -> None:
    assert data.Size() == data.Size(users=20_000, items=5_000, interactions=50)
    assert data.DIM == 16


def test_tables_have_the_columns_and_counts_that_were_asked_for(
    tables: tuple[pa.Table, pa.Table],
) -> None:
    interactions, items = tables
    assert interactions.column_names == ["user", "item", "time", "split"]
    assert items.column_names == ["item", "tags"]
    assert len(items) == len(set(items["item"].to_pylist())) == SIZE.items
    assert len(set(interactions["user"].to_pylist())) == SIZE.users
    assert len(interactions) / SIZE.users == pytest.approx(SIZE.interactions, rel=0.05)


def test_same_seed_makes_the_same_tables_and_another_seed_others() -> None:
    small = data.Size(users=50, items=40, interactions=10)
    first, again, other = (data.make_tables(small, seed) for seed in (1, 1, 2))
    assert first[0].equals(again[0])
    assert first[1].equals(again[1])
    assert not first[0].equals(other[0])
    assert not first[1].equals(other[1])


def test_nobody_takes_an_item_twice(rows: list[dict[str, object]]) -> None:
    assert len({(row["user"], row["item"]) for row in rows}) == len(rows)


def test_interactions_are_in_time_order_and_split_by_time(rows: list[dict[str, object]]) -> None:
    times = [row["time"] for row in rows]
    assert times == sorted(times)
    order = [split for split, _ in Counter(row["split"] for row in rows).items()]
    assert order == ["train", "val", "test"]
    last = {split: max(r["time"] for r in rows if r["split"] == split) for split in order}
    first = {split: min(r["time"] for r in rows if r["split"] == split) for split in order}
    assert last["train"] <= first["val"]
    assert last["val"] <= first["test"]
    shares = Counter(row["split"] for row in rows)
    assert shares["test"] / len(rows) == pytest.approx(0.1, abs=0.02)


def test_a_twentieth_of_the_items_first_appears_in_the_test(
    rows: list[dict[str, object]],
) -> None:
    splits = defaultdict(set)
    for row in rows:
        splits[row["item"]].add(row["split"])
    world = data.World.drawn(SIZE, np.random.default_rng([0, 0]))
    new = data.names("i", SIZE.items)[world.new]
    assert len(new) == SIZE.items // 20
    assert all(splits[item] <= {"test"} for item in new)
    assert sum(bool(splits[item]) for item in new) > 0.8 * len(new)
    old = [seen for item, seen in splits.items() if item not in set(new)]
    assert np.mean([seen != {"test"} for seen in old]) > 0.98


def test_popularity_falls_as_zipf_has_it() -> None:
    world = data.World.drawn(SIZE, np.random.default_rng(3))
    weights = np.sort(world.popularity)[::-1]
    slope = np.polyfit(np.log(np.arange(1, len(weights) + 1)), np.log(weights), 1)[0]
    assert slope == pytest.approx(-data.ZIPF)


def test_counts_of_interactions_fall_with_popularity(rows: list[dict[str, object]]) -> None:
    counts = np.sort(list(Counter(row["item"] for row in rows).values()))[::-1]
    ranks = np.arange(1, len(counts) + 1)
    middle = slice(20, 500)  # the first can't be taken more than once a user
    slope = np.polyfit(np.log(ranks[middle]), np.log(counts[middle]), 1)[0]
    assert -1.3 < slope < -0.6


def test_items_have_three_to_eight_tags_that_tell_their_place() -> None:
    world = data.World.drawn(SIZE, np.random.default_rng(4))
    counts = world.tagged.sum(1)
    assert set(counts) == set(range(3, 9))
    unit = world.places / np.linalg.norm(world.places, axis=1, keepdims=True)
    near, shared = unit @ unit.T, world.tagged.astype(float) @ world.tagged.T
    off = ~np.eye(len(unit), dtype=bool)
    assert near[off & (shared >= 2)].mean() > 0.2
    assert abs(near[off & (shared == 0)].mean()) < 0.1


def test_tastes_drift_half_away_in_about_three_months() -> None:
    world = data.World.drawn(SIZE, np.random.default_rng(5))
    users = np.arange(SIZE.users)

    def alike(days: float) -> float:
        start, end = (world.taste(users, np.full(len(users), d)) for d in (30.0, 30.0 + days))
        return float((start * end).sum(1).mean())

    assert alike(0) == pytest.approx(1, abs=1e-5)
    assert alike(90) == pytest.approx(0.5, abs=0.06)
    assert alike(300) < 0.2


def test_users_take_what_suits_the_taste_of_the_moment() -> None:
    world = data.World.drawn(SIZE, np.random.default_rng(6))
    user, item, day = data.draw_interactions(world, 20, np.random.default_rng(7))
    suits = (world.places[item] * world.taste(user, day)).sum(1)
    later = (world.places[item] * world.taste(user, (day + 180) % data.DAYS)).sum(1)
    assert suits.mean() > 0.8
    assert later.mean() < 0.6 * suits.mean()
