from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "pipelines"))

import recommender_log as logs  # noqa: E402
import recommender_rows as rows  # noqa: E402

from mmembed.errors import ManifestError, StoreError  # noqa: E402
from mmembed.store.manifest import read_manifest  # noqa: E402
from mmembed.store.provenance import Provenance  # noqa: E402
from mmembed.store.table import EmbeddingTable  # noqa: E402

ITEMS = {"bread": ["food"], "tea": ["drink", "warm"], "soup": ["food", "warm"], "ale": ["drink"]}
TAKEN = [  # as a shop's log has them: users mixed, in time order
    ("ann", "tea", 1, "train"),
    ("bob", "ale", 2, "train"),
    ("ann", "soup", 3, "train"),
    ("ann", "bread", 4, "val"),
    ("bob", "tea", 5, "test"),
    ("cyd", "tea", 6, "test"),
    ("ann", "ale", 7, "test"),
]
FIELDS = {"user": "category", "item": "category"}


def write(folder: Path, taken: list[tuple[str, str, int, str]]) -> logs.Log:
    names = ("user", "item", "time", "split")
    columns = dict(zip(names, map(list, zip(*taken, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "interactions.parquet")
    items = {"item": list(ITEMS), "tags": list(ITEMS.values())}
    pq.write_table(pa.table(items), folder / "items.parquet")
    return logs.Log.read(folder / "interactions.parquet", folder / "items.parquet")


@pytest.fixture
def log(tmp_path: Path) -> logs.Log:
    return write(tmp_path, TAKEN)


def bag(log: logs.Log, bags: object, row: int = 0) -> dict[str, float]:
    return dict(log.cells(bags).to_pylist()[row])


def test_interactions_are_kept_by_user_and_in_time_order(log: logs.Log) -> None:
    taken = list(zip(log.users[log.user], log.items[log.item], log.time, strict=True))
    assert taken[:4] == [
        ("ann", "tea", 1),
        ("ann", "soup", 3),
        ("ann", "bread", 4),
        ("ann", "ale", 7),
    ]
    assert taken[4:] == [("bob", "ale", 2), ("bob", "tea", 5), ("cyd", "tea", 6)]
    assert log.starts.tolist() == [0, 4, 6]
    assert log.age.tolist() == [0, 1, 2, 3, 0, 1, 0]


def test_a_matrix_holds_who_took_what_in_some_splits(tmp_path: Path, log: logs.Log) -> None:
    assert log.matrix("test").toarray().tolist() == [[0, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0]]
    assert log.matrix("val", "train").sum() == 4
    again = write(tmp_path, [*TAKEN, ("cyd", "tea", 8, "test")])
    assert again.matrix("test").toarray()[2].tolist() == [0, 1, 0, 0]


def test_a_history_ends_as_a_split_begins(log: logs.Log) -> None:
    users, ends = log.as_begins("val")
    assert (log.users[users].tolist(), ends.tolist()) == (["ann", "bob"], [2, 5])
    users, ends = log.as_begins("test")  # cyd took nothing before
    assert (log.users[users].tolist(), ends.tolist()) == (["ann", "bob"], [3, 5])


def test_a_history_ends_before_its_interaction_and_fades(log: logs.Log) -> None:
    faded = 0.5 ** (1 / logs.HALF_LIFE)
    bags = log.histories(np.array([0, 0, 1]), np.array([2, 1, 5]))
    assert bag(log, bags, 0) == pytest.approx({"soup": 1, "tea": faded}, abs=1e-3)
    assert bag(log, bags, 1) == {"tea": 1}
    assert bag(log, bags, 2) == {"ale": 1}


def test_an_item_is_described_by_its_name_and_its_tags_or_by_these_alone(log: logs.Log) -> None:
    bags = log.descriptions(np.array([1, 3, 1]), np.array([True, True, False]))
    assert bag(log, bags, 0) == {"tea": 1, "tag:drink": 1, "tag:warm": 1}
    assert bag(log, bags, 1) == {"ale": 1, "tag:drink": 1}
    assert bag(log, bags, 2) == {"tag:drink": 1, "tag:warm": 1}


def test_an_item_without_tags_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ITEMS, "ale", [])
    log = write(tmp_path, TAKEN)
    assert bag(log, log.descriptions(np.array([3]), np.array([False]))) == {"ale": 1}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_a_history_weighs_the_last_items_by_how_many_came_after(
    taken: list[int],
) -> None:
    tags = logs.sparse.csr_matrix((4, 0), dtype=np.float32)
    names = np.array(list(ITEMS)), np.array([], str)
    user = np.zeros(len(taken), int)
    log = logs.Log(np.array(["ann"]), *names, tags, user, np.array(taken), user, user.astype(str))
    for end in range(1, len(taken) + 1):
        wanted = np.zeros(4)
        for ago, item in enumerate(reversed(taken[:end][-logs.RECENT :])):
            wanted[item] += 0.5 ** (ago / logs.HALF_LIFE)
        row = log.histories(np.array([0]), np.array([end])).toarray()[0]
        assert row == pytest.approx(wanted, rel=1e-5)


def test_an_item_that_the_table_of_items_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"interactions\.parquet: item jam is not in .*items"):
        write(tmp_path, [*TAKEN, ("ann", "jam", 9, "test")])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("ann", "tea", 9, "dev"), "split dev is none of train, val, test"),
        (("ann", "tea", 0, "test"), "some of split val is later than some of test. Split by time"),
        (("ann", "tea", 5, "train"), "some of split train is later than some of val"),
    ],
)
def test_splits_that_do_not_follow_one_another_in_time_are_refused(
    tmp_path: Path, row: tuple[str, str, int, str], message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        write(tmp_path, [*TAKEN, row])


def test_rows_to_train_on_hold_the_past_and_never_the_test(
    tmp_path: Path, log: logs.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LEAST_HISTORY", 1)
    monkeypatch.setattr(rows, "NAMELESS", 0.0)
    rows.write_training_rows(log, tmp_path / "training.parquet", seed=0)
    table = read_manifest(tmp_path / "training.parquet", FIELDS)
    assert table["meta_time"].to_pylist() == ["3", "4"]
    assert table["label"].to_pylist() == ["soup", "bread"]
    assert table["user"].to_pylist()[0] == '{"tea": 1.0}'
    assert table["item"].to_pylist()[1] == '{"bread": 1.0, "tag:food": 1.0}'
    assert table["split"].to_pylist() == ["train", "val"]


def long_log(folder: Path) -> logs.Log:
    """60 interactions of 7 users to train on, and then 20 of ``val``."""
    taken = [(f"u{i % 7}", list(ITEMS)[i % 4], i, "train") for i in range(60)]
    return write(folder, taken + [("u0", "tea", i, "val") for i in range(60, 80)])


def test_rows_are_in_time_order_and_no_more_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_OF_USER", 4)
    monkeypatch.setattr(rows, "VALIDATION_ROWS", 6)
    rows.write_training_rows(long_log(tmp_path), tmp_path / "training.parquet", seed=0)
    table = pq.read_table(tmp_path / "training.parquet")
    times = [int(time) for time in table["meta_time"].to_pylist()]
    assert times == sorted(times)
    assert table["split"].to_pylist() == ["train"] * 28 + ["val"] * 6


def test_a_share_of_the_items_is_without_a_name_and_all_have_their_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LEAST_HISTORY", 0)
    monkeypatch.setattr(rows, "NAMELESS", 0.5)
    log = long_log(tmp_path)
    for seed in (0, 0, 1):
        rows.write_training_rows(log, tmp_path / f"training{seed}.parquet", seed)
    first, other = (pq.read_table(tmp_path / f"training{seed}.parquet") for seed in (0, 1))
    cells = [dict(cell) for cell in first["item"].to_pylist()]
    labels = first["label"].to_pylist()
    named = [label in cell for label, cell in zip(labels, cells, strict=True)]
    assert 0.3 < np.mean(named) < 0.7
    for label, cell in zip(labels, cells, strict=True):
        assert {*cell} - {label} == {f"tag:{tag}" for tag in ITEMS[label]}
    assert not first.equals(other)


def test_the_catalogue_holds_users_as_val_and_test_begin_and_every_item(
    tmp_path: Path, log: logs.Log
) -> None:
    rows.write_catalogue(log, tmp_path / "catalogue.parquet")
    table = read_manifest(tmp_path / "catalogue.parquet", FIELDS)
    ids = ["user:ann", "user:bob", "val:ann", "val:bob", *(f"item:{item}" for item in ITEMS)]
    assert table["id"].to_pylist() == ids  # cyd took nothing before the test
    users, items = table["user"].to_pylist(), table["item"].to_pylist()
    assert set(json.loads(users[0])) == {"tea", "soup", "bread"}
    assert set(json.loads(users[2])) == {"tea", "soup"}
    assert users[1] == users[3] == '{"ale": 1.0}'
    assert users[4:] == items[:4] == [None] * 4
    assert items[5] == '{"tea": 1.0, "tag:drink": 1.0, "tag:warm": 1.0}'


def test_users_that_settings_are_chosen_by_are_no_more_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = long_log(tmp_path)
    assert len(rows.validation_users(log)[0]) == 7
    monkeypatch.setattr(rows, "VALIDATION_USERS", 3)
    users, ends = rows.validation_users(log)
    assert users.tolist() == [0, 3, 6]
    assert (ends == log.as_begins("val")[1][[0, 3, 6]]).all()


def table_of(ids: list[str]) -> EmbeddingTable:
    vectors = np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2)
    made = Provenance(fingerprint="f", space="s", dim=2)
    return EmbeddingTable(pa.table({"sample_id": ids}), vectors, made)


def test_vectors_come_in_the_order_of_the_names() -> None:
    table = table_of(["item:tea", "user:tea", "item:ale"])
    vectors = rows.vectors_of(table, "item", np.array(["ale", "tea"]))
    assert vectors.tolist() == [[4, 5], [0, 1]]


def test_a_missing_vector_is_named() -> None:
    with pytest.raises(StoreError, match="the table: no vector of user:ann; 1 are missing"):
        rows.vectors_of(table_of(["item:tea"]), "user", np.array(["ann"]))
