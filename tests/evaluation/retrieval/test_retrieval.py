"""Ranking: the same in blocks, by screening and densely; an item never answers itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.evaluation.retrieval.retrieval as retrieval
import mmembed.evaluation.retrieval.scoring as scoring
import mmembed.evaluation.retrieval.screening as screening
from mmembed.evaluation.retrieval.metrics import PER_QUERY
from mmembed.evaluation.retrieval.relevance import SameKey
from mmembed.evaluation.retrieval.retrieval import Retrieval, score, top
from mmembed.evaluation.retrieval.scoring import Bags

from .test_metrics import unit


def same(first: Retrieval, second: Retrieval) -> None:
    assert np.array_equal(first.queries, second.queries)
    assert np.array_equal(first.unanswerable, second.unanswerable)
    assert np.array_equal(first.first, second.first)
    assert np.allclose(first.sure, second.sure, atol=1e-12, rtol=0)
    for name in PER_QUERY:
        assert np.allclose(first.values[name], second.values[name], atol=1e-12, rtol=0), name


def with_repeats(rng: np.random.Generator, rows: int, dim: int = 16) -> np.ndarray:
    """Unit vectors, a third of which stand there several times and so tie."""
    vectors = unit(rng, rows, dim)
    copies = rng.random(rows) < 1 / 3
    vectors[copies] = vectors[rng.integers(0, 5, copies.sum())]
    return vectors


def test_blocks_give_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    queries, targets = with_repeats(rng, 50), with_repeats(rng, 30)
    judge = SameKey(rng.integers(-1, 4, 50), rng.integers(-1, 4, 30))
    whole = score(queries, targets, [judge])[0]
    monkeypatch.setattr(scoring, "BLOCK_SCORES", 70)
    monkeypatch.setattr(scoring, "TILE_ROWS", 7)
    same(whole, score(queries, targets, [judge])[0])


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_screening_gives_what_sorting_gives(
    monkeypatch: pytest.MonkeyPatch, seed: int, within: bool
) -> None:
    rng = np.random.default_rng(seed)
    targets = with_repeats(rng, 900)
    queries = targets if within else with_repeats(rng, 300)
    keys = rng.integers(-1, 200, 900)
    more = rng.integers(-1, 400, 900)
    judges = [SameKey(k[: len(queries)], k) for k in (keys, more)]
    own = np.stack([np.arange(900), np.arange(1, 901)], 1) if within else None
    sorted_, best = score(queries, targets, judges, own), top(queries, targets, 20, own)
    monkeypatch.setattr(screening, "FEWEST_TARGETS", 1)
    monkeypatch.setattr(screening, "TILE_ROWS", 64)
    monkeypatch.setattr(retrieval, "QUERIES", 77)
    monkeypatch.setattr(retrieval, "_ranked", None)  # so that nothing is sorted
    assert screening.pays(scoring.as_bags(queries), scoring.as_bags(targets), judges[0].most)
    for one, other in zip(sorted_, score(queries, targets, judges, own), strict=True):
        same(one, other)
    found = top(queries, targets, 20, own)
    assert np.array_equal(best[0], found[0])
    assert np.allclose(best[1], found[1], atol=1e-12, rtol=0)


def test_where_nearly_all_ties_screening_gives_way(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    vectors = np.repeat(unit(rng, 1), 300, 0)
    keys = np.arange(300) // 2
    sorted_ = score(vectors, vectors, [SameKey(keys, keys)])[0]
    best = top(vectors, vectors, 3)[0]
    monkeypatch.setattr(screening, "FEWEST_TARGETS", 1)
    monkeypatch.setattr(screening, "MOST_CLOSE", 1000)
    found = score(vectors, vectors, [SameKey(keys, keys)])[0]
    same(sorted_, found)
    assert found.summary() == pytest.approx(found.chance(), abs=1e-9, nan_ok=True)
    assert np.array_equal(top(vectors, vectors, 3)[0], best)
    assert best.tolist() == [[0, 1, 2]] * 300


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 1000))
def test_float32_scores_are_within_the_bound(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = unit(rng, 8, dim), unit(rng, 50, dim)
    apart = np.abs((a @ b.T) - a.astype(float) @ b.T.astype(float)).max()
    assert apart < screening.rounding(dim)


def test_bags_score_the_best_of_all_pairs(rng: np.random.Generator) -> None:
    vectors = unit(rng, 12, 5)
    starts = np.array([0, 3, 4, 6])
    bags = Bags(vectors, starts)
    parts = np.split(vectors.astype(float), starts[1:])
    best = np.array([[(a @ b.T).max() for b in parts] for a in parts])
    found = scoring.scores(bags, bags, 1, 4)
    assert np.allclose(found, best[1:])


def test_an_item_is_never_its_own_answer(rng: np.random.Generator) -> None:
    vectors = unit(rng, 6)
    keys = np.array([0, 0, 1, 1, 2, -1])
    own = np.stack([np.arange(6), np.arange(1, 7)], 1)
    found = score(vectors, vectors, [SameKey(keys, keys)], own)[0]
    assert found.queries.tolist() == [0, 1, 2, 3]
    assert found.unanswerable.tolist() == [4, 5]
    assert found.targets.tolist() == [5] * 4
    best, scores = top(vectors, vectors, 9, own)
    assert best.shape == (6, 5)
    assert not (best == np.arange(6)[:, None]).any()
    assert np.isfinite(scores).all()


def test_unknown_keys_are_relevant_to_nothing(rng: np.random.Generator) -> None:
    unknown = np.full(3, -1)
    found = score(unit(rng, 3), unit(rng, 3), [SameKey(unknown, unknown)])[0]
    assert found.unanswerable.tolist() == [0, 1, 2]
    assert np.isnan(found.mean("mAP"))
    assert all(np.isnan(value) for value in found.chance().values())


def test_nothing_to_rank_is_no_error() -> None:
    nothing = np.empty((0, 4), np.float32)
    some = np.eye(4, dtype=np.float32)
    judge = SameKey(np.zeros(4, int), np.empty(0, int))
    assert score(some, nothing, [judge])[0].unanswerable.tolist() == [0, 1, 2, 3]
    assert top(some, nothing, 3)[0].shape == (4, 0)
    empty = score(nothing, some, [SameKey(np.empty(0, int), np.zeros(4, int))])[0]
    assert len(empty.queries) == len(empty.unanswerable) == 0


def test_recall_curve_ends_where_everything_is_found(rng: np.random.Generator) -> None:
    keys = np.arange(40) % 8
    found = score(unit(rng, 40), unit(rng, 40), [SameKey(keys, keys)])[0]
    curve = found.recall_curve(np.array([1, 5, 10, 36, 40]))
    assert curve[:3].tolist() == pytest.approx([found.mean(f"R@{k}") for k in (1, 5, 10)])
    assert curve[3:].tolist() == [1.0, 1.0]
    assert (np.diff(curve) >= 0).all()
