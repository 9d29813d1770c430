from __future__ import annotations

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
    assert log.users[log.with_history].tolist() == ["ann", "bob"]


def test_a_matrix_holds_who_took_what(log: logs.Log) -> None:
    assert log.matrix(log.split == "test").toarray().tolist() == [
        [0, 0, 0, 1],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
    ]


def test_a_history_ends_before_its_interaction_and_fades(log: logs.Log) -> None:
    faded = 0.5 ** (1 / logs.HALF_LIFE)
    bags = log.histories(np.array([0, 0, 1]), np.array([2, 1, 5]))
    assert bag(log, bags, 0) == pytest.approx(
        {"soup": 1, "tea": faded, "tag:food": 1, "tag:warm": 1 + faded, "tag:drink": faded},
        abs=1e-3,
    )
    assert bag(log, bags, 1) == {"tea": 1, "tag:drink": 1, "tag:warm": 1}
    assert bag(log, bags, 2) == {"ale": 1, "tag:drink": 1}


def test_an_item_is_described_by_its_name_and_its_tags(log: logs.Log) -> None:
    bags = log.descriptions()
    assert bag(log, bags, 1) == {"tea": 1, "tag:drink": 1, "tag:warm": 1}
    assert bag(log, bags, 3) == {"ale": 1, "tag:drink": 1}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 3))
def test_a_history_weighs_the_last_items_by_how_many_came_after(
    taken: list[int], tagged: int
) -> None:
    tags = logs.sparse.csr_matrix(np.eye(4, tagged, dtype=np.float32))
    names = np.array(list(ITEMS)), np.array([f"t{i}" for i in range(tagged)])
    user = np.zeros(len(taken), int)
    log = logs.Log(np.array(["ann"]), *names, tags, user, np.array(taken), user, user.astype(str))
    for end in range(1, len(taken) + 1):
        wanted = np.zeros(4)
        for ago, item in enumerate(reversed(taken[:end][-logs.RECENT :])):
            wanted[item] += 0.5 ** (ago / logs.HALF_LIFE)
        row = log.histories(np.array([0]), np.array([end])).toarray()[0]
        assert row == pytest.approx(np.concatenate([wanted, wanted[:tagged]]), rel=1e-5)


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
    rows.write_training_rows(log, tmp_path / "training.parquet", seed=0)
    table = read_manifest(tmp_path / "training.parquet", FIELDS)
    assert table["meta_time"].to_pylist() == ["3", "4"]
    assert table["label"].to_pylist() == ["soup", "bread"]
    assert table["user"].to_pylist()[0] == '{"tea": 1.0, "tag:drink": 1.0, "tag:warm": 1.0}'
    assert table["item"].to_pylist()[1] == '{"bread": 1.0, "tag:food": 1.0}'
    assert table["split"].to_pylist() == ["train", "train"]


def test_the_last_rows_before_the_test_are_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LEAST_HISTORY", 0)
    taken = [(f"u{i % 7}", list(ITEMS)[i % 4], i, "train") for i in range(60)]
    rows.write_training_rows(write(tmp_path, taken), tmp_path / "training.parquet", seed=0)
    table = pq.read_table(tmp_path / "training.parquet")
    times = [int(time) for time in table["meta_time"].to_pylist()]
    assert times == sorted(times)
    split = table["split"].to_pylist()
    assert split == ["train"] * 54 + ["val"] * 6


def test_the_catalogue_holds_users_as_the_test_begins_and_every_item(
    tmp_path: Path, log: logs.Log
) -> None:
    rows.write_catalogue(log, tmp_path / "catalogue.parquet")
    table = read_manifest(tmp_path / "catalogue.parquet", FIELDS)
    ids = ["user:ann", "user:bob", *(f"item:{item}" for item in ITEMS)]
    assert table["id"].to_pylist() == ids  # cyd took nothing before the test
    assert table["user"].to_pylist()[1] == '{"ale": 1.0, "tag:drink": 1.0}'
    assert '"bread": 1.0' in table["user"].to_pylist()[0]
    assert '"ale"' not in table["user"].to_pylist()[0]
    assert table["user"].to_pylist()[2:] == table["item"].to_pylist()[:2] + [None] * 2 == [None] * 4
    assert table["item"].to_pylist()[3] == '{"tea": 1.0, "tag:drink": 1.0, "tag:warm": 1.0}'


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
