"""Bounds that an evaluation must keep: ``image-audio/mAP=0.9``, so that it can stand in CI."""

from __future__ import annotations

import math

from mmembed.errors import ConfigError
from mmembed.evaluation.findings import Evaluation
from mmembed.evaluation.ranking.metrics import METRICS

LOWER_IS_BETTER = ("median rank",)


def missed(found: Evaluation, bounds: str) -> list[str]:
    """Say which scores do not reach their bounds; a score that is NaN never does.

    Args:
        found: what was evaluated.
        bounds: apart by commas: ``QUERY-TARGET/METRIC=VALUE``, such as ``image-audio/mAP=0.9``;
            ``*`` for every direction; ``label:*/mAP=0.8`` for one notion of relevance, else all
            must reach it; ``MODALITY/METHOD=VALUE`` for the accuracy of a classifier, such as
            ``image/linear probe=0.9``. A median rank must not be above its bound.

    Raises:
        ConfigError: not such a bound, or it names nothing that was scored.
    """
    return [each for bound in bounds.split(",") for each in _missed(found, bound.strip())]


def _missed(found: Evaluation, bound: str) -> list[str]:
    what, _, number = bound.rpartition("=")
    where, slash, metric = what.partition("/")
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if not slash or math.isnan(least):
        raise ConfigError(
            f"--fail-under {bound}: give QUERY-TARGET/METRIC=VALUE, such as image-audio/mAP=0.9"
        )
    scores = _scores(found, where, metric)
    if not scores:
        raise ConfigError(
            f"--fail-under {bound}: nothing like {what} was scored; there are "
            f"{', '.join(_names(found))}"
        )
    below = [(name, value) for name, value in scores if not _kept(name, value, least)]
    side = "above" if metric.lower() in LOWER_IS_BETTER else "below"
    return [f"{name} is {value:.4g}, {side} {least:g}" for name, value in below]


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
