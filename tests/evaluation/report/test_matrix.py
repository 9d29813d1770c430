"""Scores at a glance: cells are shaded from chance to perfect, the weakest stands on top."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.evaluation.compare import Change
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.report.matrix import matrices, shifts, tiles
from mmembed.evaluation.retrieval.metrics import BY_NAME, METRICS

from ..conftest import dataset, digits

SHARES = st.floats(0, 1)


def numbers(metric: str, value: float, chance: float) -> dict[str, Any]:
    """The JSON of one direction, as far as a matrix reads it."""
    row = {"relevance": "label", "query": "image", "target": "audio", "queries": 9}
    row |= {"metrics": {metric: value}, "chance": {metric: chance}, "intervals": {}}
    return {"retrieval": [row], "counts": {"image": 1, "audio": 1}, "metrics": {metric: ""}}


def lift(metric: str, value: float, chance: float) -> float:
    (matrix,) = matrices(numbers(metric, value, chance))
    return matrix.cells["image", "audio"].lift


@settings(deadline=None)
@given(SHARES, SHARES, SHARES)
def test_a_better_score_is_never_shaded_less(one: float, other: float, chance: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= lift("mAP", low, chance) <= lift("mAP", high, chance) <= 1
    assert lift("mAP", chance, chance) == 0
    if chance < 1 - 1e-9:
        assert lift("mAP", 1.0, chance) == 1


@settings(deadline=None)
@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(1.001, 1e6))
def test_a_lower_rank_is_never_shaded_less(one: float, other: float, chance: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= lift("median rank", high, chance) <= lift("median rank", low, chance) <= 1
    assert lift("median rank", 1.0, chance) == 1
    assert lift("median rank", chance, chance) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_a_score_that_is_not_defined_is_not_shaded(metric: str) -> None:
    assert lift(metric, math.nan, 0.5 if BY_NAME[metric].better == "higher" else 5.0) == 0
    assert lift(metric, math.nan, math.nan) == 0


def test_a_rank_is_shaded_by_its_logarithm() -> None:
    assert lift("median rank", 10.0, 100.0) == pytest.approx(0.5)
    assert lift("median rank", 1.0, 1.0) == 0  # there is but one target


def test_a_matrix_of_each_metric_holds_every_direction(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    report = evaluate(dataset(tmp_path, rows, vectors)).to_dict()
    made = matrices(report)
    assert [(m.relevance, m.metric) for m in made] == [
        (relevance, metric.name) for relevance in ("label", "group") for metric in METRICS
    ]
    for matrix in made:
        assert matrix.queries == matrix.targets == ["image", "audio", "video"]
        assert len(matrix.cells) == 6


def test_tiles_are_the_weakest_direction_and_the_probes(tmp_path: Path) -> None:
    rows, vectors = digits("test", 30, np.random.default_rng(0))
    report = evaluate(dataset(tmp_path, rows, vectors)).to_dict()
    shown = tiles(report)
    for tile, relevance in zip(shown, ("label", "group"), strict=False):
        each = [r["metrics"]["mAP"] for r in report["retrieval"] if r["relevance"] == relevance]
        assert tile.name == f"mAP by {relevance}"
        assert tile.of.startswith("lowest: ")
        assert tile.level == pytest.approx(min(each))
        assert 0 < tile.chance < 1
    assert [(tile.name, tile.of) for tile in shown[2:]] == [
        ("linear probe", modality) for modality in ("image", "audio", "video")
    ]


def change(metric: str, value: float, other: float, ends: tuple[float, float]) -> Change:
    return Change("label", "image", "audio", metric, 9, value, other, ends, 0.5, 0.5)


@settings(deadline=None)
@given(st.lists(st.tuples(SHARES, SHARES, st.floats(0, 0.5)), min_size=1, max_size=6))
def test_changes_of_a_metric_share_an_axis(triples: list[tuple[float, float, float]]) -> None:
    changes = [change("mAP", a, b, (a - b - wide, a - b + wide)) for a, b, wide in triples]
    places = shifts(changes)
    for one in places:
        assert -1 - 1e-9 <= one.low <= one.middle <= one.high <= 1 + 1e-9
    if max(abs(a - b) + wide for a, b, wide in triples) > 1e-9:
        assert max(abs(end) for one in places for end in (one.low, one.high)) == pytest.approx(1)


def test_an_interval_that_is_not_defined_is_drawn_as_its_difference() -> None:
    (one,) = shifts([change("mAP", 0.8, 0.6, (math.nan, math.nan))])
    assert (one.low, one.middle, one.high) == pytest.approx((1, 1, 1))


def test_better_goes_by_the_metric() -> None:
    assert change("mAP", 0.8, 0.6, (0, 0)).better
    assert not change("mAP", 0.6, 0.8, (0, 0)).better
    assert change("median rank", 2, 5, (0, 0)).better
    assert not change("median rank", 5, 2, (0, 0)).better
