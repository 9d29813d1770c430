"""Ranking metrics: equal to the field's reference, fair to ties, the same in blocks."""

from __future__ import annotations

from itertools import pairwise, permutations
from math import comb

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.evaluation.retrieval as retrieval
from mmembed.evaluation.retrieval import METRICS, rank_metrics, score, top


def unit(rng: np.random.Generator, rows: int, dim: int = 8) -> np.ndarray:
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_pytrec_eval_where_nothing_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, targets = unit(rng, 9), unit(rng, 40)
    query_keys, target_keys = rng.integers(0, 5, 9), rng.integers(0, 5, 40)
    found = score(queries, targets, query_keys, target_keys)
    scores = queries.astype(float) @ targets.T.astype(float)
    run = {f"q{i}": {f"d{j}": float(s) for j, s in enumerate(row)} for i, row in enumerate(scores)}
    judged = {
        f"q{i}": {f"d{j}": int(key == k) for j, k in enumerate(target_keys)}
        for i, key in enumerate(query_keys)
    }
    evaluator = pytrec_eval.RelevanceEvaluator(
        judged, {"map", "recip_rank", "ndcg_cut.10", "success.1,5,10"}
    )
    theirs = evaluator.evaluate(run)
    names = {
        "mAP": "map",
        "MRR": "recip_rank",
        "nDCG@10": "ndcg_cut_10",
        "R@1": "success_1",
        "R@5": "success_5",
        "R@10": "success_10",
    }
    for ours, reference in names.items():
        expected = [theirs[f"q{i}"][reference] for i in found.queries]
        assert np.abs(found.values[ours] - expected).max() < 1e-6, ours


def plain_metrics(hits: list[bool]) -> dict[str, float]:
    ranks = [i + 1 for i, hit in enumerate(hits) if hit]
    gains = sum(1 / np.log2(r + 1) for r in ranks if r <= 10)
    ideal = sum(1 / np.log2(r + 2) for r in range(min(10, len(ranks))))
    return {
        "R@1": float(ranks[0] <= 1),
        "R@5": float(ranks[0] <= 5),
        "R@10": float(ranks[0] <= 10),
        "mAP": float(np.mean([(i + 1) / r for i, r in enumerate(ranks)])),
        "MRR": 1 / ranks[0],
        "nDCG@10": gains / ideal,
        "median rank": float(ranks[0]),
    }


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_ties_are_the_mean_over_all_orders(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=count, max_size=count))
    relevant = data.draw(
        st.lists(st.booleans(), min_size=count, max_size=count).filter(lambda r: any(r))
    )
    orders = [
        order
        for order in permutations(range(count))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    each = [plain_metrics([relevant[i] for i in order]) for order in orders]
    ours = rank_metrics(np.array([scores]), np.array([relevant]))
    for name in METRICS:
        assert ours[name][0] == pytest.approx(np.mean([m[name] for m in each]), abs=1e-9), name


def test_constant_encoder_scores_exact_chance(rng: np.random.Generator) -> None:
    one = unit(rng, 1, 33)
    keys = np.repeat(np.arange(10), 7)
    found = score(np.repeat(one, 70, 0), np.repeat(one, 70, 0), keys, keys)
    assert np.abs(found.values["R@1"] - 0.1).max() < 1e-9
    for cut in (5, 10):
        chance = 1 - comb(63, cut) / comb(70, cut)
        assert np.abs(found.values[f"R@{cut}"] - chance).max() < 1e-9
    shuffled = np.random.default_rng(1)
    drawn = [plain_metrics(list(shuffled.permutation(keys == 0)))["mAP"] for _ in range(4000)]
    assert found.mean("mAP") == pytest.approx(np.mean(drawn), abs=0.01)
    assert found.mean("median rank") == pytest.approx(71 / 8)


def test_blocks_give_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    queries, targets = unit(rng, 50), unit(rng, 30)
    keys = rng.integers(-1, 4, 50), rng.integers(-1, 4, 30)
    whole = score(queries, targets, *keys)
    monkeypatch.setattr(retrieval, "BLOCK_SCORES", 70)
    parts = score(queries, targets, *keys)
    assert np.array_equal(whole.queries, parts.queries)
    for name in METRICS:
        assert np.allclose(whole.values[name], parts.values[name], atol=1e-12)


def test_an_item_is_never_its_own_answer(rng: np.random.Generator) -> None:
    vectors = unit(rng, 6)
    keys = np.array([0, 0, 1, 1, 2, -1])
    found = score(vectors, vectors, keys, keys, same=True)
    assert found.queries.tolist() == [0, 1, 2, 3]
    assert found.unanswerable == 2
    assert not (top(vectors, vectors, 5, same=True) == np.arange(6)[:, None]).any()


def test_unknown_keys_are_relevant_to_nothing(rng: np.random.Generator) -> None:
    found = score(unit(rng, 3), unit(rng, 3), np.full(3, -1), np.full(3, -1))
    assert found.unanswerable == 3
    assert np.isnan(found.mean("mAP"))


def test_hand_made_case() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    found = rank_metrics(scores, np.array([[False, True, False, True]]))
    assert found["mAP"][0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found["MRR"][0] == pytest.approx(1 / 2)
    assert (found["R@1"][0], found["R@5"][0]) == (0.0, 1.0)
    assert found["median rank"][0] == 2.0
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    assert found["nDCG@10"][0] == pytest.approx(gain / (1 + 1 / np.log2(3)))
