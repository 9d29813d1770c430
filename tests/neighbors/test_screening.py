"""Screening: float32 never decides what float64 would decide otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.neighbors.screening as screening
from mmembed.neighbors.screening import (
    Best,
    RankCounter,
    TooClose,
    paired_products,
    pays,
    rounding,
    screen,
)
from mmembed.neighbors.vector_rows import Bags, as_bags

from .unit_vectors import dense, unit

NONE = np.zeros((3, 2), int)


def crowd(rng: np.random.Generator, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Queries and items so near each other that float32 products can't order them."""
    centre = unit(rng, 1, 64)
    shaken = centre + 1e-4 * rng.normal(size=(items + 3, 64)) / 8
    vectors = (shaken / np.linalg.norm(shaken, axis=1, keepdims=True)).astype(np.float32)
    return vectors[:3], vectors[3:]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 1000))
def test_float32_products_are_within_the_bound(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = unit(rng, 8, dim), unit(rng, 50, dim)
    apart = np.abs((a @ b.T) - a.astype(float) @ b.T.astype(float)).max()
    assert apart < rounding(dim)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_a_crowd_are_those_of_float64(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    queries, items = crowd(np.random.default_rng(seed), 500)
    scores = dense(queries, items)
    float32 = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :20]
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :20]
    assert not np.array_equal(float32, expected)  # or the test shows nothing
    monkeypatch.setattr(screening, "TILE_ROWS", 30)
    best = Best(queries, items, 20)
    screen(queries, items, NONE, [best])
    places, values = best.finish()
    assert np.array_equal(places, expected)
    assert np.allclose(values, np.take_along_axis(scores, expected, 1), atol=1e-12, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_ranks_in_a_crowd_are_those_of_float64(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    queries, items = crowd(np.random.default_rng(seed), 500)
    items[100:110] = items[7]  # a tie
    scores = dense(queries, items)
    wanted = [np.array([7, 200]), np.empty(0, int), np.array([104])]
    monkeypatch.setattr(screening, "TILE_ROWS", 30)
    counter = RankCounter(queries, items, wanted)
    screen(queries, items, NONE, [counter])
    for row, asked, (before, size) in zip(scores, wanted, counter.finish(), strict=True):
        assert before.tolist() == [(row > row[i] + 1e-12).sum() for i in asked]
        assert size.tolist() == [11 if i in (7, 104) else 1 for i in asked]


def test_excluded_items_are_neither_best_nor_counted(rng: np.random.Generator) -> None:
    items = unit(rng, 40)
    queries = items[:3]
    own = np.stack([np.arange(3), np.arange(1, 4)], 1)
    best, counter = Best(queries, items, 1), RankCounter(queries, items, [np.array([9])] * 3)
    screen(queries, items, own, [best, counter])
    scores = dense(queries, items)
    np.fill_diagonal(scores, -np.inf)
    assert best.finish()[0][:, 0].tolist() == scores.argmax(1).tolist()
    assert [int(b[0]) for b, _ in counter.finish()] == (scores > scores[:, [9]]).sum(1).tolist()


def test_where_no_item_is_wanted_there_are_no_ranks(rng: np.random.Generator) -> None:
    counter = RankCounter(unit(rng, 3), unit(rng, 9), [np.empty(0, int)] * 3)
    screen(unit(rng, 3), unit(rng, 9), NONE, [counter])
    assert [(len(before), len(size)) for before, size in counter.finish()] == [(0, 0)] * 3


@pytest.mark.parametrize("observer", ["best", "counter"])
def test_too_many_close_scores_stop_the_screening(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, observer: str
) -> None:
    items = np.repeat(unit(rng, 1), 50, 0)
    queries = items[:3]
    monkeypatch.setattr(screening, "MOST_CLOSE", 100)
    one = [np.array([0])] * 3
    made = Best(queries, items, 2) if observer == "best" else RankCounter(queries, items, one)
    with pytest.raises(TooClose):
        screen(queries, items, NONE, [made])


def test_paired_products_are_those_of_their_rows(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    queries, items = unit(rng, 5), unit(rng, 7)
    query, item = rng.integers(0, 5, 40), rng.integers(0, 7, 40)
    monkeypatch.setattr(screening, "PAIRS", 9)
    values = paired_products(queries, items, query, item)
    assert np.allclose(values, dense(queries, items)[query, item], atol=1e-15)
    assert len(paired_products(queries, items, query[:0], item[:0])) == 0


def test_screening_pays_for_few_wanted_among_many_single_vectors(rng: np.random.Generator) -> None:
    many = as_bags(np.broadcast_to(unit(rng, 1), (screening.FEWEST_ITEMS, 8)))
    assert pays(many, many, screening.MOST_WANTED)
    assert not pays(many, many, screening.MOST_WANTED + 1)
    assert not pays(many, Bags(many.vectors[1:], many.starts[:-1]), 1)
    assert not pays(many, Bags(many.vectors, many.starts[:-1]), 1)
