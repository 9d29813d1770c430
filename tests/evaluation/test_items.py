"""Rows become items: a file each, pooled, with the keys and the split that were asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation.items import choose_split, read_items
from mmembed.evaluation.retrieval import Bags, score, top
from mmembed.store.table import EmbeddingTable

Make = Callable[..., EmbeddingTable]


def clip(path: str, index: int, **columns: str) -> dict[str, object]:
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
    assert top(ranked, ranked, 3, same=True).tolist() == np.argsort(-best)[:, :3].tolist()


def test_equal_numbers_of_segments_pool_too(make_table: Make) -> None:
    rows = [clip(f"{i}.wav", k) for i in range(3) for k in range(2)]
    items = read_items(make_table(rows, np.random.default_rng(0).normal(size=(6, 4))), "max")
    assert len(items.select(np.array([True, False, True])).ranked) == 2


def test_files_of_one_segment_score_the_same_under_both_poolings(make_table: Make) -> None:
    rows = [clip(f"{i}.wav", 0, label=str(i % 2)) for i in range(6)]
    table = make_table(rows, np.random.default_rng(1).normal(size=(6, 4)))
    found = []
    for pool in ("mean", "max"):
        items = read_items(table, pool)
        keys = items.keys("label")
        found.append(score(items.ranked, items.ranked, keys, keys, same=True).summary())
    assert found[0] == pytest.approx(found[1])


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
    with pytest.raises(ConfigError, match=r"--split dev: no row is in it; the dataset has test, t"):
        choose_split(everything, "dev")


def test_a_dataset_without_rows_is_refused(make_table: Make) -> None:
    with pytest.raises(StoreError, match="the dataset has no rows: nothing was embedded"):
        read_items(make_table([], np.empty((0, 3))))
