"""Retrieval: the same in blocks, by screening and by sorting; an item never answers itself."""

from __future__ import annotations

import numpy as np
import pytest

import mmembed.neighbors.products as products
import mmembed.neighbors.screening as screening
from mmembed.evaluation.retrieval.metrics import METRICS
from mmembed.evaluation.retrieval.relevance import Judged, RelevanceOfSome, SameKey
from mmembed.evaluation.retrieval.result import Retrieval
from mmembed.evaluation.retrieval.retrieval import score
from mmembed.neighbors.exact import RankSearch

from .test_metrics import unit


def same(first: Retrieval, second: Retrieval) -> None:
    assert np.array_equal(first.queries, second.queries)
    assert np.array_equal(first.unanswerable, second.unanswerable)
    assert np.array_equal(first.first, second.first)
    assert np.allclose(first.sure, second.sure, atol=1e-12, rtol=0)
    for metric in METRICS:
        one, other = first.values[metric.name], second.values[metric.name]
        assert np.allclose(one, other, atol=1e-12, rtol=0), metric.name


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
    relevance = SameKey(rng.integers(-1, 4, 50), rng.integers(-1, 4, 30))
    whole = score(queries, targets, [relevance])[0]
    monkeypatch.setattr(products, "BLOCK_SCORES", 70)
    monkeypatch.setattr(products, "TILE_ROWS", 7)
    same(whole, score(queries, targets, [relevance])[0])


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
    relevances = [SameKey(k[: len(queries)], k) for k in (keys, more)]
    own = np.stack([np.arange(900), np.arange(1, 901)], 1) if within else None
    sorted_ = score(queries, targets, relevances, own)
    monkeypatch.setattr(screening, "FEWEST_ITEMS", 1)
    monkeypatch.setattr(screening, "TILE_ROWS", 64)
    monkeypatch.setattr(RankSearch, "_sorted", None)  # so that nothing is sorted
    for one, other in zip(sorted_, score(queries, targets, relevances, own), strict=True):
        same(one, other)


def test_where_nearly_all_ties_screening_gives_way(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    vectors = np.repeat(unit(rng, 1), 300, 0)
    keys = np.arange(300) // 2
    sorted_ = score(vectors, vectors, [SameKey(keys, keys)])[0]
    monkeypatch.setattr(screening, "FEWEST_ITEMS", 1)
    monkeypatch.setattr(screening, "MOST_CLOSE", 1000)
    result = score(vectors, vectors, [SameKey(keys, keys)])[0]
    same(sorted_, result)
    assert result.summary() == pytest.approx(result.chance(), abs=1e-9, nan_ok=True)


def test_an_item_is_never_its_own_answer(rng: np.random.Generator) -> None:
    vectors = unit(rng, 6)
    keys = np.array([0, 0, 1, 1, 2, -1])
    own = np.stack([np.arange(6), np.arange(1, 7)], 1)
    result = score(vectors, vectors, [SameKey(keys, keys)], own)[0]
    assert result.queries.tolist() == [0, 1, 2, 3]
    assert result.unanswerable.tolist() == [4, 5]
    assert result.targets.tolist() == [5] * 4


def test_unknown_keys_are_relevant_to_nothing(rng: np.random.Generator) -> None:
    unknown = np.full(3, -1)
    result = score(unit(rng, 3), unit(rng, 3), [SameKey(unknown, unknown)])[0]
    assert result.unanswerable.tolist() == [0, 1, 2]
    assert np.isnan(result.mean("mAP"))
    assert all(np.isnan(value) for value in result.chance().values())


def test_nothing_to_rank_is_no_error() -> None:
    nothing = np.empty((0, 4), np.float32)
    some = np.eye(4, dtype=np.float32)
    relevance = SameKey(np.zeros(4, int), np.empty(0, int))
    assert score(some, nothing, [relevance])[0].unanswerable.tolist() == [0, 1, 2, 3]
    empty = score(nothing, some, [SameKey(np.empty(0, int), np.zeros(4, int))])[0]
    assert len(empty.queries) == len(empty.unanswerable) == 0


def test_recall_curve_ends_where_everything_is_found(rng: np.random.Generator) -> None:
    keys = np.arange(40) % 8
    result = score(unit(rng, 40), unit(rng, 40), [SameKey(keys, keys)])[0]
    curve = result.recall_curve(np.array([1, 5, 10, 36, 40]))
    assert curve[:3].tolist() == pytest.approx([result.mean(f"R@{k}") for k in (1, 5, 10)])
    assert curve[3:].tolist() == [1.0, 1.0]
    assert (np.diff(curve) >= 0).all()


def test_two_notions_at_once_give_what_each_gives_alone(rng: np.random.Generator) -> None:
    queries, targets = with_repeats(rng, 40), with_repeats(rng, 60)
    grades = rng.choice([0.0, 0.0, 0.5, 2.0], (40, 60))
    index = [np.flatnonzero(row) for row in grades]
    starts = np.append(0, np.cumsum([len(each) for each in index]))
    flat = np.concatenate([row[each] for row, each in zip(grades, index, strict=True)])
    both = [
        SameKey(rng.integers(-1, 4, 40), rng.integers(-1, 4, 60)),
        Judged(starts, np.concatenate(index), flat),
    ]
    for relevance, result in zip(both, score(queries, targets, both), strict=True):
        same(result, score(queries, targets, [relevance])[0])


def test_some_queries_keep_their_relevance_under_new_numbers(rng: np.random.Generator) -> None:
    whole = SameKey(rng.integers(0, 3, 10), rng.integers(0, 3, 20))
    some = RelevanceOfSome(whole, np.array([7, 2]))
    assert some.most == whole.most
    for number, query in enumerate((7, 2)):
        assert some.of(number)[0].tolist() == whole.of(query)[0].tolist()


def test_metrics_of_ties_sum_their_grades(rng: np.random.Generator) -> None:
    """Two relevant targets in one tie, and one in another, of grades 3, 1 and 2."""
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    relevance = Judged(np.array([0, 3]), np.array([0, 2, 3]), np.array([3.0, 1.0, 2.0]))
    result = score(targets[:1], targets, [relevance])[0]
    assert result.gain[0].tolist() == [6.0]
    assert result.first.tolist() == [[0, 3, 2]]
    discount = 1 / np.log2(np.arange(2, 6))
    gained = 4 / 3 * discount[:3].sum() + 2 * discount[3]
    ideal = 3 * discount[0] + 2 * discount[1] + 1 * discount[2]
    assert result.values["nDCG@10"][0] == pytest.approx(gained / ideal)


def test_intervals_hold_their_scores_and_clusters_widen_them(rng: np.random.Generator) -> None:
    keys = rng.integers(0, 6, 60)
    result = score(unit(rng, 60), unit(rng, 60), [SameKey(keys, keys)])[0]
    alone = result.intervals(np.arange(60))
    together = result.intervals(np.arange(60) // 6)
    assert list(alone) == [metric.name for metric in METRICS]
    for name, (low, high) in alone.items():
        assert low <= result.mean(name) <= high, name
    wider = [together[n][1] - together[n][0] > alone[n][1] - alone[n][0] for n in ("mAP", "MRR")]
    assert any(wider)
    assert all(np.isnan(ends).all() for ends in result.intervals(np.zeros(60, int)).values())
