"""Scores that an evaluation must reach: ``image-audio/mAP=0.9``, so that it can stand in CI."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mmembed.errors import ConfigError
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import METRICS


@dataclass(frozen=True)
class RequiredScore:
    """A bound of some scores.

    Attributes:
        text: as it was given.
        where: ``image-audio``, ``label:*`` or ``image``.
        metric: of retrieval, or the name of a classifier.
        bound: the least value, or the most of what is better lower.
    """

    text: str
    where: str
    metric: str
    bound: float


@dataclass(frozen=True)
class _Score:
    """A score that a bound asks for."""

    name: str
    value: float
    lower: bool = False

    def keeps(self, bound: float) -> bool:
        """Return whether the score is no worse than a bound; NaN never is."""
        return self.value <= bound if self.lower else self.value >= bound


def read_required(text: str) -> list[RequiredScore]:
    """Return the bounds of a text, apart by commas.

    Each is ``QUERY-TARGET/METRIC=VALUE``, such as ``image-audio/mAP=0.9``; ``*`` for every
    direction; ``label:*/mAP=0.8`` for one notion of relevance, else all must reach it;
    ``FIELD/METHOD=VALUE`` for the accuracy of a classifier, such as ``image/linear probe=0.9``.
    A metric that is better lower, such as the median rank, must not be above its bound.

    Raises:
        ConfigError: not such a bound.
    """
    return [_required(part.strip()) for part in text.split(",")]


def _required(text: str) -> RequiredScore:
    scores, _, number = text.rpartition("=")
    where, slash, metric = scores.partition("/")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not slash or math.isnan(bound):
        raise ConfigError(
            "give QUERY-TARGET/METRIC=VALUE, such as image-audio/mAP=0.9", "fail_under", text
        )
    return RequiredScore(text, where, metric, bound)


def missed_scores(evaluation: Evaluation, required: list[RequiredScore]) -> list[str]:
    """Return a sentence for each score that does not reach its bound; NaN never does.

    Raises:
        ConfigError: a bound names nothing that was scored.
    """
    return [sentence for each in required for sentence in _missed(evaluation, each)]


def _missed(evaluation: Evaluation, required: RequiredScore) -> list[str]:
    where, metric = required.where, required.metric
    scores = [*_of_retrieval(evaluation, where, metric), *_of_classes(evaluation, where, metric)]
    if not scores:
        raise ConfigError(
            f"nothing like {where}/{metric} was scored; there are {', '.join(_names(evaluation))}",
            "fail_under",
            required.text,
        )
    return [
        f"{score.name} is {score.value:.4g}, {'above' if score.lower else 'below'} "
        f"{required.bound:g}"
        for score in scores
        if not score.keeps(required.bound)
    ]


def _of_retrieval(evaluation: Evaluation, where: str, name: str) -> Iterator[_Score]:
    notion, colon, pair = where.rpartition(":")
    metrics = [metric for metric in METRICS if metric.name.lower() == name.lower()]
    for d in evaluation.directions:
        if pair not in ("*", f"{d.query}-{d.target}") or (colon and notion != d.relevance):
            continue
        for metric in metrics:
            scored = f"{d.relevance}:{d.query}-{d.target}/{metric.name}"
            yield _Score(scored, d.result.mean(metric.name), metric.better == "lower")


def _of_classes(evaluation: Evaluation, where: str, method: str) -> Iterator[_Score]:
    for field, results in evaluation.classification.items():
        for c in results:
            if where in ("*", field) and method.lower() == c.method.lower():
                yield _Score(f"{field}/{c.method}", c.accuracy)


def _names(evaluation: Evaluation) -> list[str]:
    pairs = list(dict.fromkeys(f"{d.query}-{d.target}" for d in evaluation.directions))
    metrics = ", ".join(metric.name for metric in METRICS)
    methods = [
        f"{field}/{c.method}"
        for field, results in evaluation.classification.items()
        for c in results
    ]
    return [*pairs, *([f"each with {metrics}"] if pairs else []), *methods]
