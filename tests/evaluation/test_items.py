"""Rows become items: a file each, pooled, with the keys and the split that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.chosen_split import choose_split
from mmembed.evaluation.items import Pool, read_items
from mmembed.evaluation.retrieval.relevance import SameKey
from mmembed.evaluation.retrieval.retrieval import score
from mmembed.neighbors.exact import top_k
from mmembed.neighbors.vector_rows import Bags
from mmembed.store.table import EmbeddingTable, StoredRows

from .conftest import dataset

Make = Callable[..., EmbeddingTable]


def clip(path: str, index: int, **columns: str) -> dict[str, Any]:
    return {"path": path, "modality": "audio", "segment_index": index, **columns}


def test_segments_are_pooled_to_the_mean_of_their_file(make_table: Make) -> None:
    rows = [clip("a.wav", 0), clip("b.wav", 0), clip("a.wav", 1)]
    items = read_items(make_table(rows, np.array([[1.0, 0], [0, -1], [0, 1]])))
    assert items.path.tolist() == ["a.wav", "b.wav"]
    assert np.allclose(items.vectors, [[2**-0.5, 2**-0.5], [0, -1]], atol=1e-6)


def test_max_pooling_scores_the_best_pair_of_segments(make_table: Make) -> None:
    rng = np.random.default_rng(0)
    counts = [3, 1, 2, 4]
    rows = [clip(f"{i}.wav", k) for i, n in enumerate(counts) for k in range(n)]
    vectors = rng.normal(size=(len(rows), 5))
    items = read_items(make_table(rows, vectors), "max")
    ranked = items.ranked
    assert isinstance(ranked, Bags)
    parts = np.split(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.cumsum(counts))
    best = np.array([[(a @ b.T).max() for b in parts[:4]] for a in parts[:4]])
    np.fill_diagonal(best, -np.inf)
    nearest, scores = top_k(ranked, ranked, 3, items.own(items))
    assert nearest.tolist() == np.argsort(-best)[:, :3].tolist()
    assert np.allclose(scores, -np.sort(-best)[:, :3], atol=1e-6)


def test_equal_numbers_of_segments_pool_too(make_table: Make) -> None:
    rows = [clip(f"{i}.wav", k) for i in range(3) for k in range(2)]
    items = read_items(make_table(rows, np.random.default_rng(0).normal(size=(6, 4))), "max")
    few = items.select(np.array([True, False, True])).ranked
    assert isinstance(few, Bags)
    whole = items.ranked
    assert isinstance(whole, Bags)
    assert np.array_equal(few.vectors, whole.vectors[[0, 1, 4, 5]])
    assert few.starts.tolist() == [0, 2]


def test_files_of_one_segment_score_the_same_under_both_poolings(make_table: Make) -> None:
    rows = [clip(f"{i}.wav", 0, label=str(i % 2)) for i in range(6)]
    table = make_table(rows, np.random.default_rng(1).normal(size=(6, 4)))
    nearest = []
    for pool in ("mean", "max"):
        items = read_items(table, pool)
        keys = items.keys("label")
        judge = SameKey(keys, keys)
        nearest.append(score(items.ranked, items.ranked, [judge], items.own(items))[0].summary())
    assert nearest[0] == pytest.approx(nearest[1], nan_ok=True)


def test_moments_are_items_with_their_time(make_table: Make) -> None:
    rows = [clip("b.wav", 0), clip("a.wav", 1), clip("a.wav", 0)]
    for row, (start, end) in zip(rows, [(0.0, 2.0), (2.0, 4.0), (0.0, 2.0)], strict=True):
        row |= {"start_s": start, "end_s": end}
    items = read_items(make_table(rows, np.eye(3)), "moments")
    assert items.path.tolist() == ["a.wav", "a.wav", "b.wav"]
    assert items.start.tolist() == [0.0, 2.0, 0.0]
    assert items.end.tolist() == [2.0, 4.0, 2.0]
    assert items.vectors.argmax(1).tolist() == [2, 1, 0]
    assert items.own(items).tolist() == [[0, 2], [0, 2], [2, 3]]


@pytest.mark.parametrize("pool", ["mean", "max", "moments"])
def test_reading_by_parts_gives_what_reading_at_once_gives(tmp_path: Path, pool: Pool) -> None:
    rng = np.random.default_rng(4)
    rows = [clip(f"{i % 37:02}.wav", i // 37, label=f"{i % 3}") for i in range(100)]
    vectors = rng.normal(size=(100, 6))
    for number, part in enumerate(np.split(np.arange(100), [31, 64])):
        made = dataset(tmp_path / f"{number}", [rows[i] for i in part], vectors[part])
        (tmp_path / "all").mkdir(exist_ok=True)
        (made / "part-00000.parquet").rename(tmp_path / "all" / f"part-{number:05}.parquet")
    by_part = read_items(StoredRows(tmp_path / "all"), pool)
    at_once = read_items(EmbeddingTable.open(tmp_path / "all"), pool)
    assert np.array_equal(by_part.vectors, at_once.vectors)
    assert by_part.path.tolist() == at_once.path.tolist()
    assert by_part.label.tolist() == at_once.label.tolist()
    assert len(by_part) == (100 if pool == "moments" else 37)
    for i, path in enumerate(by_part.path):
        own = [v / np.linalg.norm(v) for r, v in zip(rows, vectors, strict=True)
               if r["path"] == path]  # fmt: skip
        if pool != "moments":
            mean = np.sum(own, axis=0)
            assert np.allclose(by_part.vectors[i], mean / np.linalg.norm(mean), atol=1e-6)


def test_items_that_stand_together_are_not_copied(make_table: Make) -> None:
    rows = [clip(f"{i}.wav", 0) for i in range(5)]
    rows += [{"path": f"{i}.png", "modality": "image"} for i in range(4)]
    items = read_items(make_table(rows, np.random.default_rng(0).normal(size=(9, 4))))
    sounds = items.select(items.field == "audio")
    assert np.shares_memory(sounds.vectors, items.vectors)
    assert sounds.path.tolist() == [f"{i}.wav" for i in range(5)]
    assert items.select(np.array([7, 2])).path.tolist() == ["2.png", "2.wav"]


def test_a_part_that_was_written_again_is_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path / "a", [clip(f"{i}.wav", 0) for i in range(3)], np.eye(3))
    more = dataset(tmp_path / "b", [clip(f"{i}.wav", 0) for i in range(4)], np.ones((4, 3)))
    stored = StoredRows(data)
    (more / "part-00000.parquet").replace(data / "part-00000.parquet")
    with pytest.raises(StoreError, match="was written again while it was being read. Run again."):
        list(stored.blocks())


def test_the_stem_is_the_name_without_folder_and_ending(make_table: Make) -> None:
    rows = [clip("sounds/01.wav", 0), clip("sounds/02.wav", 0)]
    rows += [{"path": "pictures/02.png", "modality": "image"}]
    items = read_items(make_table(rows, np.eye(3)))
    keys = dict(zip(items.path, items.keys("stem"), strict=True))
    assert keys["sounds/02.wav"] == keys["pictures/02.png"] != keys["sounds/01.wav"]


def test_what_has_no_group_is_one_thing_with_its_file_alone(make_table: Make) -> None:
    rows = [clip(f"{i}.wav", 0, **({"group": g} if g else {})) for i, g in enumerate("ab a ")]
    rows = [{k: v for k, v in row.items() if v != " "} for row in rows]
    groups = read_items(make_table(rows, np.eye(5))).groups()
    assert groups[0] == groups[3]
    assert len(set(groups)) == 4


def test_moments_of_a_file_without_a_group_are_one_thing(make_table: Make) -> None:
    rows = [clip("a.wav", 0), clip("a.wav", 1), clip("b.wav", 0)]
    for row in rows:
        row |= {"start_s": 2.0 * row["segment_index"], "end_s": 2.0 * row["segment_index"] + 2}
    groups = read_items(make_table(rows, np.eye(3)), "moments").groups()
    assert groups.tolist() == ["a.wav", "a.wav", "b.wav"]


def test_missing_and_empty_keys_are_unknown(make_table: Make) -> None:
    rows = [clip("a.wav", 0, label="x"), clip("b.wav", 0, label=""), clip("c.wav", 0)]
    items = read_items(make_table(rows, np.eye(3)))
    assert items.keys("label").tolist() == [0, -1, -1]
    assert items.keys("group").tolist() == [-1, -1, -1]


def test_test_split_is_scored_and_train_split_taught(make_table: Make) -> None:
    rows = [clip(f"{s}{i}.wav", 0, split=s) for s in ("train", "val", "test") for i in range(2)]
    everything = read_items(make_table(rows, np.eye(6)))
    items, train, said = choose_split(everything, None)
    assert items.path.tolist() == ["test0.wav", "test1.wav"]
    assert train is not None
    assert train.path.tolist() == ["train0.wav", "train1.wav"]
    assert said == "split test: 2 of 6 files"
    assert choose_split(everything, "train")[1] is None
    assert len(choose_split(everything, "all")[0]) == 6
    assert choose_split(everything, "dev")[2] == "split val: 2 of 6 files"
    with pytest.raises(ConfigError, match=r"split=extra: no row is in it; the dataset has test, t"):
        choose_split(everything, "extra")


def test_a_dataset_without_rows_is_refused(make_table: Make) -> None:
    with pytest.raises(StoreError, match="the dataset has no rows: nothing was embedded"):
        read_items(make_table([], np.empty((0, 3))))
