"""From a Parquet dataset to a verdict: the whole of ``evaluate``, without a model."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import mmembed
from mmembed.cli import main
from mmembed.errors import ConfigError, StoreError
from mmembed.evaluation import evaluate

from .conftest import dataset, digits


def test_every_direction_by_label_and_by_group(media_dataset: Path) -> None:
    found = evaluate(media_dataset)
    pairs = set(permutations(("image", "audio", "video"), 2))
    for relevance in ("label", "group"):
        assert {(d.query, d.target) for d in found.directions if d.relevance == relevance} == pairs
    assert found.protocol["scored"] == "split test: 27 of 63 files"
    assert set(found.classification) == {"image", "audio", "video"}
    assert found.classification["audio"][0].protocol == "12 training rows → 9 test rows"
    assert found.report is None


def test_vectors_of_one_point_score_chance_in_every_direction(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    found = evaluate(dataset(tmp_path, rows, np.ones_like(vectors)))
    assert len(found.directions) == 12
    for direction in found.directions:
        assert direction.result.summary() == pytest.approx(direction.result.chance(), abs=1e-9)
    assert found.directions[0].result.mean("R@1") == pytest.approx(1 / 3, abs=1e-9)
    assert "Retrieval by label is near chance" in found.verdict
    assert any("collapsed" in fault for fault in found.faults)


def test_matching_vectors_score_one(tmp_path: Path) -> None:
    rows, _ = digits("test", 6, np.random.default_rng(0))
    vectors = np.repeat(np.eye(6), 3, axis=0)
    found = evaluate(dataset(tmp_path, rows, vectors))
    by_group = [d for d in found.directions if d.relevance == "group"]
    assert [d.result.mean("mAP") for d in by_group] == [1.0] * 6
    assert "Retrieval by group is excellent" in found.verdict


def test_one_modality_is_scored_within_itself(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    found = evaluate(dataset(tmp_path, rows[::3], vectors[::3]))
    assert [d.name for d in found.directions] == ["image → image"]
    assert found.directions[0].result.targets == 8


def test_data_without_keys_still_has_a_report(tmp_path: Path) -> None:
    rows, vectors = digits("test", 4, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors, carried=())
    found = evaluate(data, tmp_path / "report")
    assert found.verdict.startswith("Nothing could be scored: no file shares a label or a group.")
    assert found.report is not None
    assert found.report.stat().st_size > 1 << 20


def test_one_broken_vector_leaves_only_itself_out(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    vectors[4] = np.nan
    found = evaluate(dataset(tmp_path, rows, vectors))
    assert len(found.items) == 26
    assert "1 file with NaN or infinite vectors, left out of the scores" in found.faults
    assert np.isfinite(found.directions[0].result.mean("mAP"))
    assert found.verdict.endswith("The data has 1 fault; read them before trusting a score.")


def test_mistakes_are_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, vectors = digits("test", 3, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors)
    zero = dataset(tmp_path / "zero", rows, 0 * vectors)
    cases: list[tuple[type[Exception], dict[str, Path | str], str]] = [
        (StoreError, {"embeddings": tmp_path / "gone"}, "gone: no such file or folder"),
        (StoreError, {"embeddings": zero}, "every vector is NaN or zero; embed the media again"),
        (ConfigError, {"embeddings": data, "split": "dev"}, "--split dev: no row is in it"),
        (ConfigError, {"embeddings": data, "media": "nowhere"}, "--media nowhere: no such folder"),
        (ConfigError, {"embeddings": data, "report": __file__}, "is a file; give a folder"),
    ]
    for kind, options, text in cases:
        with pytest.raises(kind, match=text):
            evaluate(**options)  # type: ignore[arg-type]
        words = ["evaluate", str(options.pop("embeddings"))]
        assert main(words + [w for n, v in options.items() for w in (f"--{n}", str(v))]) == 2
        said = capsys.readouterr().err
        assert text in said
        assert said.count("\n") <= 2


def test_the_command_prints_what_python_returns(
    media_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(media_dataset), "--pool", "max", "--split", "all"]) == 0
    printed = capsys.readouterr().out
    found = mmembed.evaluate(media_dataset, split="all", pool="max")
    assert "all 63 files" in printed
    assert "toy <b>space</b>" in printed
    for direction in found.directions:
        assert direction.name in printed
        assert f"{direction.result.mean('mAP'):.3f}" in printed
    assert found.protocol["pooling"].startswith("two files score the best pair")
