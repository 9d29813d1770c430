"""Metrics from ties: the mean over all orders, the field's reference, exact chance."""

from __future__ import annotations

from itertools import pairwise, permutations
from math import comb
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.evaluation.retrieval.abstention import abstention
from mmembed.evaluation.retrieval.metrics import BY_NAME, MAIN, MEANS, METRICS
from mmembed.evaluation.retrieval.relevance import Judged, SameKey
from mmembed.evaluation.retrieval.result import Retrieval
from mmembed.evaluation.retrieval.retrieval import score


def unit(rng: np.random.Generator, rows: int, dim: int = 8) -> np.ndarray:
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def graded(grades: np.ndarray) -> Judged:
    """Judgements ``(queries, targets)``; 0 is irrelevant."""
    index = [np.flatnonzero(row) for row in grades]
    starts = np.append(0, np.cumsum([len(each) for each in index]))
    flat = [row[each] for row, each in zip(grades, index, strict=True)]
    return Judged(starts, np.concatenate(index), np.concatenate(flat).astype(float))


def scored(scores: list[float], grades: np.ndarray) -> Retrieval:
    """One query whose targets have these scores: unit vectors at those cosines."""
    values = np.array(scores)
    targets = np.stack([values, np.sqrt(1 - values**2)], 1).astype(np.float32)
    return score(np.array([[1, 0]], np.float32), targets, [graded(grades[None])])[0]


@pytest.mark.parametrize("seed", range(100))
def test_equal_to_pytrec_eval_where_nothing_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, targets = unit(rng, 9), unit(rng, 40)
    grades = rng.choice([0, 0, 0, 1, 2, 3], (9, 40))
    grades[:, 0] = 1
    result = score(queries, targets, [graded(grades)])[0]
    scores = queries.astype(float) @ targets.T.astype(float)
    run = {f"q{i}": {f"d{j}": float(s) for j, s in enumerate(row)} for i, row in enumerate(scores)}
    judged = {f"q{i}": {f"d{j}": int(g) for j, g in enumerate(row)} for i, row in enumerate(grades)}
    wanted = {"map", "recip_rank", "ndcg_cut.10", "success.1,5,10", "P.10", "recall.10"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, wanted).evaluate(run)
    names = {
        "mAP": "map",
        "MRR": "recip_rank",
        "nDCG@10": "ndcg_cut_10",
        "R@1": "success_1",
        "R@5": "success_5",
        "R@10": "success_10",
        "P@10": "P_10",
        "recall@10": "recall_10",
    }
    for ours, reference in names.items():
        expected = [theirs[f"q{i}"][reference] for i in result.queries]
        assert np.abs(result.values[ours] - expected).max() < 1e-6, ours


def plain_metrics(grades: list[int]) -> dict[str, float]:
    """The metrics of one order, by their definitions."""
    ranks = [i + 1 for i, grade in enumerate(grades) if grade]
    gains = sum(g / np.log2(i + 2) for i, g in enumerate(grades[:10]))
    ideal = sum(g / np.log2(i + 2) for i, g in enumerate(sorted(grades, reverse=True)[:10]))
    return {
        "R@1": float(ranks[0] <= 1),
        "R@5": float(ranks[0] <= 5),
        "R@10": float(ranks[0] <= 10),
        "P@10": sum(r <= 10 for r in ranks) / 10,
        "recall@10": sum(r <= 10 for r in ranks) / len(ranks),
        "mAP": float(np.mean([(i + 1) / r for i, r in enumerate(ranks)])),
        "MRR": 1 / ranks[0],
        "nDCG@10": gains / ideal,
        "median rank": float(ranks[0]),
    }


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_ties_are_the_mean_over_all_orders(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=count, max_size=count))
    grades = data.draw(
        st.lists(st.integers(0, 3), min_size=count, max_size=count).filter(lambda g: any(g))
    )
    orders = [
        order
        for order in permutations(range(count))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    each = [plain_metrics([grades[i] for i in order]) for order in orders]
    ours = scored(scores, np.array(grades))
    for name in each[0]:
        expected = np.mean([m[name] for m in each])
        assert ours.values[name][0] == pytest.approx(expected, abs=1e-9), name


def test_constant_encoder_scores_exact_chance_on_every_metric(rng: np.random.Generator) -> None:
    one = unit(rng, 1, 33)
    keys = np.concatenate([np.repeat(np.arange(10), 7), [10, 10]])
    vectors = np.repeat(one, len(keys), 0)
    result = score(vectors, vectors, [SameKey(keys, keys)])[0]
    for name, chance in result.chance().items():
        assert result.mean(name) == pytest.approx(chance, abs=1e-9), name
    assert result.mean("nAUC") == pytest.approx(0, abs=1e-9)
    seven = result.relevant == 7
    for cut in (1, 5, 10):
        chance = 1 - comb(65, cut) / comb(72, cut)
        assert np.abs(result.values[f"R@{cut}"][seven] - chance).max() < 1e-9
    assert np.abs(result.values["P@10"][seven] - 7 / 72).max() < 1e-9
    assert np.abs(result.values["recall@10"] - 10 / 72).max() < 1e-9
    assert result.mean("median rank") == pytest.approx(73 / 8)
    shuffled = np.random.default_rng(1)
    drawn = [plain_metrics(list(shuffled.permutation(keys == 0)))["mAP"] for _ in range(4000)]
    assert result.values["mAP"][0] == pytest.approx(np.mean(drawn), abs=0.01)


def test_large_ties_keep_their_precision() -> None:
    """The closed form of the expected precision against its sum, for a tie of 200,000."""
    size, count, before = 200_000, 30, 1000
    one = np.zeros((before + size, 2), np.float32)
    one[:before] = [1, 0]
    one[before:] = [0, 1]
    grades = np.zeros(len(one))
    grades[before : before + count] = 1
    result = score(np.array([[1, 0]], np.float32), one, [graded(grades[None])])[0]
    offset = np.arange(size)
    expected = 1 + offset * (count - 1) / (size - 1)
    by_sum = (count / size * expected / (before + offset + 1)).sum() / count
    assert result.values["mAP"][0] == pytest.approx(by_sum, rel=1e-10)


def test_hand_made_case() -> None:
    values = scored([0.9, 0.8, 0.7, 0.6], np.array([0, 1, 0, 1])).values
    assert values["mAP"][0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert values["MRR"][0] == pytest.approx(1 / 2)
    assert (values["R@1"][0], values["R@5"][0]) == (0.0, 1.0)
    assert values["median rank"][0] == 2.0
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    assert values["nDCG@10"][0] == pytest.approx(gain / (1 + 1 / np.log2(3)))


def test_every_metric_has_a_name_and_a_help_of_its_own() -> None:
    assert list(BY_NAME.values()) == list(METRICS)
    assert len({metric.help for metric in METRICS}) == len(METRICS)
    assert MAIN in BY_NAME
    columns = [metric.column or metric.name for metric in METRICS if metric.column is not None]
    assert len(set(columns)) == len(columns)


def test_means_are_of_values_between_0_and_1(rng: np.random.Generator) -> None:
    """The intervals of a mean and its comparison rest on this."""
    keys = rng.integers(0, 5, 80)
    result = score(unit(rng, 80), unit(rng, 80), [SameKey(keys, keys)])[0]
    for metric in MEANS:
        values = result.values[metric.name]
        assert -1e-12 < values.min() <= values.max() < 1 + 1e-12, metric.name
        assert result.mean(metric.name) == pytest.approx(values.mean())


def test_the_best_ranking_is_best_and_the_worst_worst_on_every_metric() -> None:
    grades = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    scores = np.linspace(0.9, 0.1, 14).tolist()
    best, worst = scored(scores, grades), scored(scores[::-1], grades)
    for metric in METRICS:
        if metric.column is not None:
            values = best.mean(metric.name), worst.mean(metric.name)
            assert metric.is_better(*values), metric.name
            assert not metric.is_better(*values[::-1])


def test_the_documents_define_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluate.md").read_text("utf-8")
    table = page[page.index("| metric | definition |") :].split("\n\n")[0].splitlines()[2:]
    named = [name.strip() for line in table for name in line.split("|")[1].split(",")]
    assert named == [metric.name for metric in METRICS]


def test_abstention_is_one_for_an_oracle_and_zero_by_chance() -> None:
    precision = np.array([0.1, 0.9, 0.4, 0.6, 0.3])
    assert abstention(precision, precision, 1e-12) == pytest.approx(1)
    assert abstention(precision, -precision, 1e-12) < 0
    assert abstention(precision, np.ones(5), 1e-12) == pytest.approx(0, abs=1e-12)
    assert np.isnan(abstention(np.ones(5), precision, 1e-12))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.integers(0, 2)), min_size=2,
             max_size=6)
)  # fmt: skip
def test_abstention_takes_equally_sure_queries_in_all_orders(pairs: list[tuple]) -> None:
    precision, sure = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs], float)
    if np.ptp(precision) == 0:
        return
    kept = np.arange(1, len(pairs) + 1)
    best = (np.sort(precision)[::-1].cumsum() / kept).mean()
    orders = [o for o in permutations(range(len(pairs))) if (np.diff(-sure[list(o)]) >= 0).all()]
    areas = [(precision[list(o)].cumsum() / kept).mean() for o in orders]
    expected = (np.mean(areas) - precision.mean()) / (best - precision.mean())
    assert abstention(precision, sure, 1e-12) == pytest.approx(expected, abs=1e-9)
