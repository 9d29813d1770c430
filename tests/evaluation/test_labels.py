"""Labels, groups and splits of a dataset are read as they are meant; what was changed is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.errors import ConfigError
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.results import Evaluation

from .conftest import Row, dataset, dataset_of_fields, digits

NAN = float("nan")


def scores(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    return [(d.relevance, d.name, str(d.result.summary())) for d in evaluation.directions]


def said(evaluation: Evaluation) -> dict[str, tuple[int, str]]:
    return {fault.kind: (fault.count, fault.message) for fault in evaluation.faults}


def with_values(rows: Sequence[Row], column: str, written: dict[int, Any]) -> list[Row]:
    """Return rows with some of a column written otherwise."""
    return [row | ({column: written[i]} if i in written else {}) for i, row in enumerate(rows)]


@pytest.fixture
def three_splits() -> tuple[list[Row], np.ndarray]:
    rng = np.random.default_rng(1)
    parts = [digits(split, count, rng) for split, count in (("train", 12), ("val", 6), ("test", 9))]
    return [row for rows, _ in parts for row in rows], np.concatenate([v for _, v in parts])


NAMES = {"train": "Train ", "val": " validation", "test": "TESTING"}


def test_splits_are_known_by_their_other_names_and_the_report_says_so(
    three_splits: tuple[list[Row], np.ndarray], tmp_path: Path
) -> None:
    rows, vectors = three_splits
    plain = dataset(tmp_path / "plain", rows, vectors)
    others = [row | {"split": NAMES[row["split"]]} for row in rows]
    written = dataset(tmp_path / "written", others, vectors)
    for split in (None, "val", "train"):
        expected = evaluate(plain, split=split)
        got = evaluate(written, split=split)
        assert scores(got) == scores(expected)
        assert got.scored == expected.scored
        assert got.classification.keys() == expected.classification.keys()
        assert expected.reading == {}
        assert said(got).keys() == said(expected).keys()
    assert got.protocol["splits"] == (
        "'Train ' (36) read as train; ' validation' (18) read as val; 'TESTING' (27) read as test"
    )
    for name in ("dev", "Validation", "val "):
        assert evaluate(plain, split=name).scored == "split val: 18 of 81 files"


def test_the_command_prints_the_names_that_were_read_otherwise(
    three_splits: tuple[list[Row], np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, vectors = three_splits
    others = [row | {"split": NAMES[row["split"]]} for row in rows]
    data = dataset(tmp_path / "data", others, vectors)
    assert main(["evaluate", str(data), "--report", str(tmp_path / "report")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "split test: 27 of 81 files splits: 'Train ' (36) read as train; " in printed
    numbers = json.loads((tmp_path / "report/report.json").read_text())
    assert numbers["protocol"]["splits"] in (tmp_path / "report/report.html").read_text().replace(
        "&#39;", "'"
    )


def test_a_split_of_no_known_name_is_a_fault_and_can_be_asked_for(
    three_splits: tuple[list[Row], np.ndarray], tmp_path: Path
) -> None:
    rows, vectors = three_splits
    others = with_values(rows, "split", dict.fromkeys(range(36, 54), "extra "))
    data = dataset(tmp_path, others, vectors)
    evaluation = evaluate(data)
    assert said(evaluation)["unknown-split"] == (
        18,
        "18 files with 'extra ' (18) as split, which is none of train, val and test: call it one "
        "of these",
    )
    assert evaluate(data, split="extra").scored == "split extra: 18 of 81 files"
    with pytest.raises(ConfigError, match="split=dev: no row is in it; the dataset has extra, te"):
        evaluate(data, split="dev")


def test_placeholders_blanks_and_case_are_faults_and_score_as_they_are_meant(
    tmp_path: Path,
) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(2))
    meant = with_values(rows, "label", {0: None, 4: None, 8: None})
    meant = with_values(meant, "group", {1: None})
    clean = evaluate(dataset(tmp_path / "clean", meant, vectors))
    written = with_values(rows, "label", {0: "nan", 4: "None", 8: " NULL", 5: "class 1 "})
    written = with_values(written, "group", {1: "N/A", 2: f" {rows[2]['group']}"})
    evaluation = evaluate(dataset(tmp_path / "written", written, vectors))
    assert scores(evaluation) == scores(clean)
    faults = {(f.kind, f.message): f for f in evaluation.faults}
    label = next(f for (k, m), f in faults.items() if k == "placeholder" and "as label" in m)
    assert label.message.startswith(
        "3 files with ' NULL' (1), 'None' (1), 'nan' (1) as label, which counts as none: leave it"
    )
    assert set(label.examples) == {rows[i]["path"] for i in (0, 4, 8)}
    group = next(f for (k, m), f in faults.items() if k == "placeholder" and "as group" in m)
    assert group.message.startswith("1 file with 'N/A' (1) as group, which counts as none")
    assert group.examples == (rows[1]["path"],)
    blanks = [f for f in evaluation.faults if f.kind == "blanks"]
    assert [f.examples for f in blanks] == [(rows[5]["path"],), (rows[2]["path"],)]
    assert "with 'class 1 ' (1) as label, read without the blanks around it" in blanks[0].message
    assert {f.kind for f in clean.faults} == {f.kind for f in evaluation.faults} - {
        "placeholder",
        "blanks",
    }


def test_labels_that_differ_in_case_alone_are_named(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    written = with_values(rows, "label", {0: "Class 0", 1: "CLASS 0"})
    fault = next(
        f for f in evaluate(dataset(tmp_path, written, vectors)).faults if f.kind == "spelling"
    )
    assert fault.count == 3
    assert fault.message.startswith("3 labels that differ from another in case or blanks alone")
    assert set(fault.examples) >= {rows[0]["path"], rows[1]["path"]}


def test_a_class_that_is_called_none_is_one(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    named = {f"class {i}": name for i, name in enumerate(("none", "NA", "other"))}
    written = [row | {"label": named[row["label"]]} for row in rows]
    plain = evaluate(dataset(tmp_path / "plain", rows, vectors))
    evaluation = evaluate(dataset(tmp_path / "named", written, vectors))
    assert scores(evaluation) == scores(plain)
    assert evaluation.faults == plain.faults


def test_a_label_that_is_not_a_number_is_none(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    numbers = [row | {"label": float(row["label"][-1])} for row in rows]
    missing = [row | ({"label": NAN} if i == 3 else {}) for i, row in enumerate(numbers)]
    none = [row | ({"label": None} if i == 3 else {}) for i, row in enumerate(numbers)]
    ours = evaluate(dataset_of_fields(tmp_path / "nan", missing, vectors))
    assert scores(ours) == scores(evaluate(dataset_of_fields(tmp_path / "none", none, vectors)))
    assert "placeholder" not in said(ours)
    assert said(ours)["unlabelled"][0] == 1


def test_what_is_said_of_the_dataset_is_said_of_the_other_and_of_prompts(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors)
    other = dataset(tmp_path / "other", with_values(rows, "label", {0: "nan"}), vectors)
    texts = [{"path": f"{i}.txt", "modality": "text", "label": f"class {i}"} for i in range(3)]
    texts[0]["label"] = " class 0"
    prompts = dataset(tmp_path / "prompts", texts, np.random.default_rng(5).normal(size=(3, 8)))
    evaluation = evaluate(data, against=other, prompts=prompts)
    messages = [f.message for f in evaluation.faults]
    assert any(f"1 file of the other dataset, {other} with 'nan' (1)" in m for m in messages)
    assert any(f"1 file of the prompts {prompts} with ' class 0' (1)" in m for m in messages)
    (zero_shot,) = (c for c in evaluation.classification["image"] if c.method == "zero-shot")
    assert zero_shot.protocol.startswith("3 classes by 3 prompts")
    assert "their classes have none" not in zero_shot.protocol


def test_any_kind_of_text_column_will_do(tmp_path: Path) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    plain = evaluate(dataset(tmp_path / "plain", rows, vectors))
    folder = dataset(tmp_path / "typed", rows, vectors)
    part = next(folder.glob("part-*"))
    table = pq.read_table(part)
    for name, kind in (
        ("label", pa.dictionary(pa.int32(), pa.string())),
        ("split", pa.large_string()),
    ):
        at = table.column_names.index(name)
        table = table.set_column(at, name, table[name].cast(kind))
    pq.write_table(table, part)
    assert scores(evaluate(folder)) == scores(plain)
