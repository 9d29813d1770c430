"""Options of an evaluation, in two groups; their fields are the options of the command."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmembed.errors import ConfigError
from mmembed.evaluation.items import Notion, Pool


@dataclass(frozen=True)
class ScoringOptions:
    """The files of a dataset that are scored, and the targets that are relevant to them.

    Args:
        split: the split to score, or ``all``; without it ``test`` if there is one, else all. Other
            names of a split will do (``validation``, ``dev``). Classifiers learn from the ``train``
            split, or by folds where all is scored.
        pool: how the segments of a file are ranked: by their ``mean``, by their best pair
            (``max``), or each for itself (``moments``).
        relevance: what makes a target relevant: the same ``label``, ``group`` or file ``stem``;
            without it label and group, or the stem if there is neither.
        qrels: file of judgements, as TREC text, CSV or Parquet; then only they count, unless
            ``relevance`` is given too.
        label_separator: stands between several labels of a file (``|``), where they are not lists;
            files that share one are relevant. Empty where a text is one label.
    """

    split: str | None = None
    pool: Pool = "mean"
    relevance: Notion | None = None
    qrels: Path | None = None
    label_separator: str = ""


@dataclass(frozen=True)
class ReportOptions:
    """The folder of the report, and the media that it shows.

    Args:
        report: folder for report.html, report.json, report.md and queries.parquet; None writes
            nothing.
        media: folder or URL of the media, for the pictures and sounds of the report; without it
            those inside the dataset's source, if that is a folder of this machine.
    """

    report: Path | None = None
    media: str | Path | None = None


def grouped(options: dict[str, Any]) -> dict[str, Any]:
    """Return options by name as the groups that ``evaluate_as`` takes, and those of no group.

    Raises:
        ConfigError: there is no option of that name.
    """
    left, made = dict(options), {}
    for name, group in {"scoring": ScoringOptions, "output": ReportOptions}.items():
        fields = [field.name for field in dataclasses.fields(group)]
        made[name] = group(**{field: left.pop(field) for field in fields if field in left})
    made |= {name: left.pop(name) for name in ("prompts", "fail_under") if name in left}
    if left:
        raise ConfigError(f"unknown option {', '.join(left)}")
    return made
