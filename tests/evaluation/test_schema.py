"""``report.json`` is what its schema says, whatever was evaluated."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from mmembed.evaluation.evaluate import evaluate

from .conftest import dataset, digits

SCHEMA = json.loads(files("mmembed.evaluation").joinpath("report.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("case", ["usual", "compared", "no keys", "one file", "collapsed"])
def test_reports_follow_the_schema(tmp_path: Path, case: str) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors)
    against = None
    if case == "compared":
        against = dataset(tmp_path / "other", rows, vectors[:, :4])
    if case == "no keys":
        data = dataset(tmp_path / "none", rows, vectors, carried=())
    if case == "one file":
        data = dataset(tmp_path / "one", rows[:1], vectors[:1])
    if case == "collapsed":
        data = dataset(tmp_path / "same", rows, np.ones_like(vectors))
    evaluate(data, tmp_path / "report", against)
    numbers = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(numbers, SCHEMA, jsonschema.Draft202012Validator)
    assert bool(numbers["comparison"]) == (case == "compared")


def test_the_schema_refuses_what_a_report_is_not() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"format": "mmembed-report/2"}, SCHEMA)
