"""Options of an evaluation: the same by Python and by the command, in two groups."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import mmembed
from mmembed.cli.commands import main
from mmembed.errors import ConfigError
from mmembed.evaluation.evaluate import evaluate, evaluate_as
from mmembed.evaluation.settings import ReportOptions, ScoringOptions, grouped

from .conftest import dataset, digits

GROUPS = (ScoringOptions, ReportOptions)
SCORING = {"split", "pool", "relevance", "qrels", "label_separator"}
OPTIONS = {*SCORING, "report", "media", "prompts", "fail_under"}


def test_every_option_is_in_one_group_or_none() -> None:
    fields = [field.name for group in GROUPS for field in dataclasses.fields(group)]
    beside = [
        name
        for name, parameter in inspect.signature(evaluate_as).parameters.items()
        if name not in ("embeddings", "against", "scoring", "output")
    ]
    assert sorted([*fields, *beside]) == sorted(OPTIONS)


def test_options_come_to_their_groups() -> None:
    made = grouped({"split": "dev", "report": Path("r"), "prompts": "p", "pool": "max"})
    assert made == {
        "scoring": ScoringOptions(split="dev", pool="max"),
        "output": ReportOptions(report=Path("r")),
        "prompts": "p",
    }
    assert grouped({}) == {"scoring": ScoringOptions(), "output": ReportOptions()}


def test_an_option_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown option splitt, tpools"):
        evaluate(tmp_path, splitt="test", tpools="max")


def test_the_help_shows_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out.replace("-", "_")
    assert all(f"__{option}" in said for option in OPTIONS)


def test_groups_and_options_evaluate_alike(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", *digits("test", 9, np.random.default_rng(0)))
    by_option = mmembed.evaluate(data, relevance="label", pool="max", fail_under="*/mAP=1.5")
    scoring = ScoringOptions(relevance="label", pool="max")
    by_group = evaluate_as(data, scoring=scoring, output=ReportOptions(), fail_under="*/mAP=1.5")
    assert json.dumps(by_option.to_dict()) == json.dumps(by_group.to_dict())
    assert len(by_option.missed) == 6


def test_report_and_the_other_dataset_may_be_given_by_place(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", *digits("test", 9, np.random.default_rng(0)))
    evaluation = evaluate(data, tmp_path / "report", data)
    assert evaluation.report == tmp_path / "report" / "report.html"
    assert evaluation.comparison is not None
