"""Products of all pairs: each once, with the precision of the queries, in bounded memory."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import mmembed.neighbors.products as products
from mmembed.neighbors.products import block_size, cosines, in_threads, one_excluded, tiles
from mmembed.neighbors.vector_rows import Bags, as_bags

from .unit_vectors import dense, ranges, unit, without


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 999),
)
def test_tiles_hold_every_pair_once(
    queries: int, items: int, rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    asked, given_ = unit(rng, queries).astype(float), unit(rng, items)
    excluded = ranges(rng, queries, items)
    whole = np.full((queries, items), np.nan)
    for tile in tiles(asked, given_, excluded, (rows, columns)):
        high, wide = tile.scores.shape
        assert high <= rows
        assert wide <= columns
        part = whole[tile.query : tile.query + high, tile.item : tile.item + wide]
        assert np.isnan(part).all()
        part[:] = tile.scores
    assert np.allclose(whole, without(dense(asked, given_), excluded), atol=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_products_have_the_precision_of_the_queries(
    rng: np.random.Generator, kind: type[np.floating]
) -> None:
    queries, items = unit(rng, 3).astype(kind), unit(rng, 5)
    assert {tile.scores.dtype for tile in tiles(queries, items, None, (2, 2))} == {np.dtype(kind)}


def test_a_block_of_items_is_read_once(rng: np.random.Generator) -> None:
    class Counted:
        def __init__(self, vectors: np.ndarray) -> None:
            self.vectors, self.read = vectors, 0

        def __len__(self) -> int:
            return len(self.vectors)

        def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
            self.read += len(self.vectors[key])
            return self.vectors[key]

    items = Counted(unit(rng, 50))
    assert len(list(tiles(unit(rng, 30), items, None, (4, 6)))) == 8 * 9
    assert items.read == 50


def test_cosines_of_a_block_are_those_of_its_queries(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    queries, items = unit(rng, 9), unit(rng, 20)
    monkeypatch.setattr(products, "TILE_ROWS", 7)
    block = cosines(as_bags(queries), as_bags(items), range(2, 5))
    assert np.allclose(block, dense(queries, items)[2:5], atol=1e-12)
    own = cosines(as_bags(items), as_bags(items), range(2, 5), one_excluded(np.arange(2, 5)))
    assert np.isneginf(own[np.arange(3), np.arange(2, 5)]).all()
    assert np.isneginf(own).sum() == 3


def test_bags_score_the_best_of_all_pairs(rng: np.random.Generator) -> None:
    vectors = unit(rng, 12, 5)
    starts = np.array([0, 3, 4, 6])
    bags = Bags(vectors, starts)
    parts = np.split(vectors, starts[1:])
    best = np.array([[dense(a, b).max() for b in parts] for a in parts])
    assert np.allclose(cosines(bags, bags, range(1, 4)), best[1:])
    assert np.allclose(cosines(bags, as_bags(vectors), range(4)).max(1), best.max(1))
    masked = cosines(bags, bags, range(4), one_excluded(np.arange(4)))
    assert np.isneginf(masked.diagonal()).all()


def test_a_block_has_few_queries_where_items_are_many_or_bags_are_long(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    items = as_bags(unit(rng, 100))
    assert block_size(items, items) == products.BLOCK_QUERIES
    monkeypatch.setattr(products, "BLOCK_SCORES", 1000)
    assert block_size(items, items) == 10
    long = Bags(unit(rng, 9), np.array([0, 4]))
    assert block_size(long, items) == 2
    monkeypatch.setattr(products, "BLOCK_SCORES", 10)
    assert block_size(items, items) == 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 9))
def test_blocks_come_in_order_and_hold_every_query_once(
    queries: int, size: int, cores: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products.os, "cpu_count", lambda: cores)
        blocks = list(in_threads(lambda block: block, queries, size))
    assert [query for block in blocks for query in block] == list(range(queries))
    assert all(len(block) <= size for block in blocks)
    if queries >= cores:
        assert len(blocks) >= min(cores, queries) / 2  # all cores have as much to do


def test_blocks_run_in_several_threads_and_blas_in_each_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two blocks meet at a barrier, so each has a thread; BLAS adds none of its own."""
    monkeypatch.setattr(products.os, "cpu_count", lambda: 2)
    barrier = threading.Barrier(2)

    def work(block: range) -> list[int]:
        barrier.wait(timeout=60)
        return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]

    assert {threads for each in in_threads(work, 2, 1) for threads in each} <= {1}


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products.os, "cpu_count", lambda: 2)

    def work(block: range) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_threads(work, 4, 1))
