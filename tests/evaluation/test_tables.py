"""Tables: digits that say what is known, cells that break nothing, few columns in a terminal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import METRICS
from mmembed.evaluation.tables import all_tables, markdown, number, print_tables, signed, span

from .conftest import dataset, digits


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    root = tmp_path_factory.mktemp("tables")
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    other = vectors + 3 * np.random.default_rng(1).normal(size=vectors.shape)
    one, two = dataset(root / "one", rows, vectors), dataset(root / "two", rows, other)
    return evaluate(one, against=two)


@settings(deadline=None)
@given(st.floats(0, 1.5))
def test_a_score_has_three_digits(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, abs=0.0005 + 1e-9)
    assert len(number(value)) == 5


@settings(deadline=None)
@given(st.floats(1.51, 1e6))
def test_a_rank_has_one_digit(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, abs=0.05 + 1e-6)


def test_what_is_not_defined_is_a_dash() -> None:
    assert number(None) == number(math.nan) == signed(None) == signed(math.nan) == "–"
    assert span(None) == span([math.nan, 1.0]) == span([0.5, math.nan]) == "–"
    assert span([0.25, 0.5]) == "0.250–0.500"
    assert (signed(0.5), signed(-0.5), signed(0.0)) == ("+0.500", "-0.500", "+0.000")


def test_every_row_has_as_many_cells_as_its_header(evaluation: Evaluation) -> None:
    tables = all_tables(evaluation.to_dict())
    assert len(tables) == 7
    for title, header, rows in tables:
        assert rows, title
        assert {len(row) for row in rows} == {len(header)}, title


def test_markdown_has_every_metric_with_its_help(evaluation: Evaluation) -> None:
    text = markdown(evaluation.to_dict())
    header = next(line for line in text.splitlines() if line.startswith("| direction"))
    for metric in METRICS:
        assert f" {metric.name} |" in header
        assert f"- {metric.name}: {metric.help}" in text


def test_changes_of_the_metrics_that_are_shown_are_in_the_tables(evaluation: Evaluation) -> None:
    title, header, rows = next(t for t in all_tables(evaluation.to_dict()) if "Against" in t[0])
    shown = {metric.name for metric in METRICS if "changes" in metric.shown}
    assert {row[header.index("metric")] for row in rows} == shown
    assert len(rows) == 12 * len(shown)
    assert title.startswith("Against ")


def test_a_terminal_shows_the_metrics_that_say_so(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    print_tables(evaluation)
    header = next(line for line in capsys.readouterr().out.splitlines() if "direction" in line)
    words = header.replace("95 %", "").split()
    for metric in METRICS:
        shown = metric.name.split()[0] in words
        assert shown == ("terminal" in metric.shown), metric.name


def test_an_evaluation_of_nothing_has_its_tables(tmp_path: Path) -> None:
    rows, vectors = digits("test", 1, np.random.default_rng(0))
    lone = evaluate(dataset(tmp_path, rows[:1], vectors[:1])).to_dict()
    assert [title for title, _, _ in all_tables(lone)] == ["Geometry"]
    assert "Nothing could be scored" in markdown(lone)
