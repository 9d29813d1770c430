"""Required scores: which are meant by a bound, and on which side of it they must lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmembed.errors import ConfigError
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.required_scores import RequiredScore, missed_scores, read_required
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import METRICS

from .conftest import dataset, digits


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    rows, vectors = digits("test", 30, np.random.default_rng(0))
    return evaluate(dataset(tmp_path_factory.mktemp("data"), rows, vectors))


def missed(evaluation: Evaluation, text: str) -> list[str]:
    return missed_scores(evaluation, read_required(text))


def test_bounds_are_read_apart_by_commas() -> None:
    assert read_required(" image-audio/mAP=0.9,label:*/median rank=3 ") == [
        RequiredScore("image-audio/mAP=0.9", "image-audio", "mAP", 0.9),
        RequiredScore("label:*/median rank=3", "label:*", "median rank", 3.0),
    ]


@pytest.mark.parametrize("text", ["", "mAP=0.9", "a-b/mAP", "a-b/mAP=", "a-b/mAP=nan", "a/b=c,"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give QUERY-TARGET/METRIC=VALUE, such as image-audio"):
        read_required(text)


@pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])
def test_a_score_keeps_a_bound_that_is_just_worse_and_misses_one_just_better(
    evaluation: Evaluation, metric: object
) -> None:
    name, better = metric.name, metric.better  # type: ignore[attr-defined]
    direction = evaluation.directions[0]
    where = f"{direction.relevance}:{direction.query}-{direction.target}/{name}"
    value, step = direction.result.mean(name), 1e-9 if better == "higher" else -1e-9
    assert missed(evaluation, f"{where}={value - step!r}") == []
    (sentence,) = missed(evaluation, f"{where}={value + step!r}")
    side = "below" if better == "higher" else "above"
    assert sentence == f"{where} is {value:.4g}, {side} {value:g}"


def test_a_star_and_a_missing_notion_mean_every_direction(evaluation: Evaluation) -> None:
    assert len(missed(evaluation, "*/mAP=2")) == len(evaluation.directions) == 12
    assert len(missed(evaluation, "label:*/mAP=2")) == 6
    assert len(missed(evaluation, "image-audio/mAP=2")) == 2
    assert len(missed(evaluation, "*/linear probe=2")) == 3
    assert len(missed(evaluation, "image/LINEAR PROBE=2, image-audio/map=2")) == 3


@pytest.mark.parametrize("text", ["image-text/mAP=0", "*/mapp=0", "qrels:*/mAP=0", "text/k-NN=0"])
def test_a_bound_of_nothing_names_what_there_is(evaluation: Evaluation, text: str) -> None:
    where = text.removesuffix("=0")
    expected = rf"fail_under={text}: nothing like {where} was scored; there are image-audio, .*"
    with pytest.raises(ConfigError, match=expected.replace("*/", r"\*/").replace(":*", r":\*")):
        missed(evaluation, text)


def test_a_score_that_is_not_defined_keeps_no_bound(tmp_path: Path) -> None:
    """All queries do equally well, so that there is no abstention to score."""
    rows, _ = digits("test", 6, np.random.default_rng(0))
    perfect = evaluate(dataset(tmp_path, rows, np.repeat(np.eye(6), 3, axis=0)))
    assert all("nAUC is nan, below -5" in each for each in missed(perfect, "group:*/nAUC=-5"))
    assert len(missed(perfect, "group:*/nAUC=-5")) == 6
