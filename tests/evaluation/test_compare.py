"""Two datasets side by side: what changed, and whether it is more than chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmembed.cli.commands import main
from mmembed.evaluation.compare import compare_directions
from mmembed.evaluation.directions import score_directions
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.items import read_items
from mmembed.store.table import StoredRows

from .conftest import dataset, digits


def worse(vectors: np.ndarray, noise: float) -> np.ndarray:
    return vectors + noise * np.random.default_rng(9).normal(size=vectors.shape)


def test_a_dataset_beside_itself_is_the_same(tmp_path: Path) -> None:
    data = dataset(tmp_path, *digits("test", 12, np.random.default_rng(0)))
    comparison = evaluate(data, against=data).comparison
    assert comparison is not None
    assert len(comparison.changes) == 12 * 8
    assert all(c.value == c.other and c.p_value == c.adjusted == 1.0 for c in comparison.changes)
    assert comparison.moved == []
    assert comparison.unmatched == 0
    assert comparison.overlap == pytest.approx({"image": 1.0, "audio": 1.0, "video": 1.0})
    assert "better in 0 of 12 directions, worse in 0" in comparison.sentence


def test_a_space_that_is_much_worse_is_told_apart(tmp_path: Path) -> None:
    rows, vectors = digits("test", 40, np.random.default_rng(0))
    good = dataset(tmp_path / "good", rows, vectors)
    bad = dataset(tmp_path / "bad", rows, worse(vectors, 5.0))
    comparison = evaluate(good, against=bad, relevance="label").comparison
    assert comparison is not None
    by_map = [c for c in comparison.changes if c.metric == "mAP"]
    assert all(c.real and c.value > c.other for c in by_map)
    assert all(c.interval[0] > 0 for c in by_map)
    assert all(c.adjusted >= c.p_value for c in comparison.changes)
    assert "mAP is better in 6 of 6 directions" in comparison.sentence
    back = evaluate(bad, against=good, relevance="label").comparison
    assert back is not None
    assert "worse in 6" in back.sentence
    assert [c.value for c in back.changes] == [c.other for c in comparison.changes]
    for moved in comparison.moved:
        assert moved.value != moved.other
    assert max(abs(m.value - m.other) for m in comparison.moved) > 0.3
    assert 0 < min(comparison.overlap.values()) <= max(comparison.overlap.values()) < 0.9


def test_noise_alone_is_not_called_a_change(tmp_path: Path) -> None:
    """Twenty pairs of equally good spaces: their differences are chance."""
    told = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows, centres = digits("test", 20, rng)
        parts = []
        for name in "ab":
            vectors = centres + rng.normal(size=centres.shape)
            items = read_items(StoredRows(dataset(tmp_path / f"{seed}{name}", rows, vectors)))
            parts += [items, score_directions(items, ("group",), None, moments=False)[0]]
        changes, _, _ = compare_directions(*parts)
        assert len(changes) == 6 * 8
        told += any(change.real for change in changes)
    assert told <= 3


def test_queries_are_matched_by_file_and_the_rest_is_counted(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    one = dataset(tmp_path / "one", rows, vectors)
    two = dataset(tmp_path / "two", rows[:-3][::-1], vectors[:-3][::-1])
    comparison = evaluate(one, against=two, relevance="label").comparison
    assert comparison is not None
    assert {c.queries for c in comparison.changes} == {11}
    assert comparison.unmatched == 6


def test_spaces_of_other_dimensions_compare(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    one = dataset(tmp_path / "one", rows, vectors)
    two = dataset(tmp_path / "two", rows, vectors[:, :5])
    assert evaluate(one, against=two).comparison is not None


def test_nothing_in_common_is_said(tmp_path: Path) -> None:
    rows, vectors = digits("test", 6, np.random.default_rng(0))
    one = dataset(tmp_path / "one", rows, vectors)
    only = [i for i, row in enumerate(rows) if row["modality"] == "image"]
    two = dataset(tmp_path / "two", [rows[i] for i in only], vectors[only])
    comparison = evaluate(one, against=two).comparison
    assert comparison is not None
    assert comparison.changes == []
    assert comparison.sentence.startswith("Nothing is scored in both this dataset and")


def test_the_command_compares_and_the_report_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    one = dataset(tmp_path / "one", rows, vectors)
    two = dataset(tmp_path / "two", rows, worse(vectors, 2.0))
    assert main(["evaluate", str(one), str(two), "--report", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr().out
    assert f"Against {two}" in printed
    assert "Queries that changed most" in printed
    saved = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert saved["comparison"]["other"] == str(two)
    assert len(saved["comparison"]["changes"]) == 96
    assert saved["comparison"]["verdict"] in saved["verdict"]
