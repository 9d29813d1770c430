"""Bounds that an evaluation must keep: ``image-audio/mAP=0.9``, so that it can stand in CI."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmembed.errors import ConfigError
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import METRICS

LOWER_IS_BETTER = ("median rank",)


@dataclass(frozen=True)
class Bound:
    """What a score must reach.

    Attributes:
        text: as it was given.
        where: ``image-audio``, ``label:*`` or ``image``.
        metric: of retrieval, or the name of a classifier.
        least: the bound (the most, for what is better lower).
    """

    text: str
    where: str
    metric: str
    least: float


def read_bounds(text: str) -> list[Bound]:
    """Return the bounds of a text, apart by commas.

    Each is ``QUERY-TARGET/METRIC=VALUE``, such as ``image-audio/mAP=0.9``; ``*`` for every
    direction; ``label:*/mAP=0.8`` for one notion of relevance, else all must reach it;
    ``MODALITY/METHOD=VALUE`` for the accuracy of a classifier, such as ``image/linear probe=0.9``.
    A median rank must not be above its bound.

    Raises:
        ConfigError: not such a bound.
    """
    return [_bound(part.strip()) for part in text.split(",")]


def _bound(text: str) -> Bound:
    what, _, number = text.rpartition("=")
    where, slash, metric = what.partition("/")
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if not slash or math.isnan(least):
        raise ConfigError(
            "give QUERY-TARGET/METRIC=VALUE, such as image-audio/mAP=0.9", "fail_under", text
        )
    return Bound(text, where, metric, least)


def missed(found: Evaluation, bounds: list[Bound]) -> list[str]:
    """Say which scores do not reach their bounds; a score that is NaN never does.

    Raises:
        ConfigError: a bound names nothing that was scored.
    """
    return [each for bound in bounds for each in _missed(found, bound)]


def _missed(found: Evaluation, bound: Bound) -> list[str]:
    scores = _scores(found, bound.where, bound.metric)
    if not scores:
        raise ConfigError(
            f"nothing like {bound.where}/{bound.metric} was scored; "
            f"there are {', '.join(_names(found))}",
            "fail_under",
            bound.text,
        )
    below = [(name, value) for name, value in scores if not _kept(name, value, bound.least)]
    side = "above" if bound.metric.lower() in LOWER_IS_BETTER else "below"
    return [f"{name} is {value:.4g}, {side} {bound.least:g}" for name, value in below]


def _kept(name: str, value: float, bound: float) -> bool:
    return value <= bound if name.endswith(LOWER_IS_BETTER) else value >= bound


def _scores(found: Evaluation, where: str, metric: str) -> list[tuple[str, float]]:
    notion, colon, pair = where.rpartition(":")
    names = [name for name in METRICS if name.lower() == metric.lower()]
    scores = [
        (f"{d.relevance}:{d.query}-{d.target}/{name}", d.result.mean(name))
        for d in found.directions
        for name in names
        if pair in ("*", f"{d.query}-{d.target}") and (not colon or notion == d.relevance)
    ]
    return scores + [
        (f"{modality}/{c.method}", c.accuracy)
        for modality, results in found.classification.items()
        for c in results
        if where in ("*", modality) and metric.lower() == c.method.lower()
    ]


def _names(found: Evaluation) -> list[str]:
    pairs = list(dict.fromkeys(f"{d.query}-{d.target}" for d in found.directions))
    methods = [
        f"{modality}/{c.method}"
        for modality, results in found.classification.items()
        for c in results
    ]
    return [*pairs, *([f"each with {', '.join(METRICS)}"] if pairs else []), *methods]
