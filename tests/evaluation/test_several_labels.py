"""Files with several labels: relevant is what shares one, whoever wrote the lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.errors import StoreError
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.queries import query_table
from mmembed.evaluation.results import Evaluation

from .conftest import Row, dataset, dataset_of_fields

TAGS = ("dog", "cat", "park", "night")
TYPES = [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string(), 2)]


def tagged(count: int = 24) -> tuple[list[Row], np.ndarray]:
    """Pictures and sounds of two different tags each, near the mean of the tags' centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(TAGS), 8))
    rows, vectors = [], []
    for i in range(count):
        chosen = rng.permutation(len(TAGS))[:2]
        for modality, ending in (("image", "png"), ("audio", "wav")):
            rows.append({"path": f"{modality}/{i:02}.{ending}", "modality": modality})
            rows[-1] |= {"label": [TAGS[c] for c in chosen], "group": f"g{i}"}
            vectors.append(centres[chosen].mean(0) + 0.3 * rng.normal(size=8))
    return rows, np.array(vectors)


def by_label(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    return {d.name: d.result.summary() for d in evaluation.directions if d.relevance == "label"}


def typed(folder: Path, rows: Sequence[Row], vectors: np.ndarray, kind: pa.DataType) -> Path:
    dataset_of_fields(folder, rows, vectors)
    part = folder / "part-00000.parquet"
    table = pq.read_table(part)
    at = table.column_names.index("label")
    column = pa.array([row["label"] for row in rows], kind)
    pq.write_table(table.set_column(at, "label", column), part)
    return folder


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_what_shares_a_label_is_relevant(kind: pa.DataType, tmp_path: Path) -> None:
    rows, vectors = tagged()
    evaluation = evaluate(typed(tmp_path, rows, vectors, kind))
    labels = {row["path"]: set(row["label"]) for row in rows}
    direction = next(d for d in evaluation.directions if d.relevance == "label")
    images, sounds = (
        evaluation.items.select(evaluation.items.field == field)
        for field in (direction.query, direction.target)
    )
    for i, path in enumerate(images.path):
        relevant, grades = direction.relevant.of(i)
        expected = [j for j, p in enumerate(sounds.path) if labels[path] & labels[p]]
        assert relevant.tolist() == expected
        assert grades.tolist() == [1.0] * len(expected)
    products = images.vectors.astype(float) @ sounds.vectors.T.astype(float)
    precisions = []
    for i, row in enumerate(products):
        right = [bool(labels[images.path[i]] & labels[sounds.path[j]]) for j in np.argsort(-row)]
        hits = np.cumsum(right)
        precisions.append(float((hits / np.arange(1, len(hits) + 1))[right].mean()))
    assert direction.result.mean("mAP") == pytest.approx(np.mean(precisions))


def test_classification_is_left_out_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, vectors = tagged()
    for row in rows:  # sounds have one label each
        row["label"] = row["label"][: 1 if row["modality"] == "audio" else 2]
    data = dataset_of_fields(tmp_path / "data", rows, vectors)
    evaluation = evaluate(data)
    assert {field for field, results in evaluation.classification.items() if results} == {"audio"}
    line = (
        "24 of 48 files have several: relevant is what shares one of them; fields with such rows "
        "have no classification"
    )
    assert evaluation.protocol["labels"] == line
    report = tmp_path / "report"
    assert main(["evaluate", str(data), "--report", str(report)]) == 0
    assert f"labels: {line}" in " ".join(capsys.readouterr().out.split())
    numbers = json.loads((report / "report.json").read_text())
    assert {row["modality"] for row in numbers["classification"]} == {"audio"}
    assert line in (report / "report.md").read_text().replace("\\", "")
    assert set(query_table(evaluation)["label"].to_pylist()) >= {"dog, cat"}


def test_lists_of_one_label_are_labels(tmp_path: Path) -> None:
    rows, vectors = tagged()
    single = [row | {"label": row["label"][:1]} for row in rows]
    plain = [row | {"label": row["label"][0]} for row in rows]
    expected = evaluate(dataset(tmp_path / "plain", plain, vectors))
    evaluation = evaluate(dataset_of_fields(tmp_path / "lists", single, vectors))
    assert by_label(evaluation) == by_label(expected)
    assert evaluation.reading == {}
    for field, results in expected.classification.items():
        got = {c.method: c.accuracy for c in evaluation.classification[field]}
        assert got == {c.method: c.accuracy for c in results}


@pytest.mark.parametrize("separator", ["|", "; ", " "])
def test_a_separator_makes_lists_of_texts(separator: str, tmp_path: Path) -> None:
    rows, vectors = tagged()
    expected = evaluate(dataset_of_fields(tmp_path / "lists", rows, vectors))
    texts = [row | {"label": separator.join(row["label"])} for row in rows]
    data = dataset(tmp_path / "texts", texts, vectors)
    evaluation = evaluate(data, label_separator=separator)
    assert by_label(evaluation) == by_label(expected)
    assert evaluation.reading == expected.reading
    whole = evaluate(data)
    assert by_label(whole) != by_label(expected)
    assert whole.reading == {}


def test_another_dataset_and_prompts_are_read_with_the_separator(tmp_path: Path) -> None:
    rows, vectors = tagged()
    texts = [row | {"label": "|".join(row["label"])} for row in rows]
    data = dataset(tmp_path / "data", texts, vectors)
    beside = evaluate(data, against=data, label_separator="|")
    assert beside.comparison is not None
    assert {c.difference for c in beside.comparison.changes if hasattr(c, "difference")} <= {0.0}
    single = [row | {"label": row["label"][0]} for row in rows]
    words = [{"path": f"{i}.txt", "modality": "text", "label": t} for i, t in enumerate(
        ("dog|cat", "park|night")
    )]  # fmt: skip
    prompts = dataset(tmp_path / "prompts", words, np.random.default_rng(0).normal(size=(2, 8)))
    one = evaluate(dataset(tmp_path / "one", single, vectors), prompts=prompts, label_separator="|")
    (zero_shot,) = (c for c in one.classification["image"] if c.method == "zero-shot")
    assert zero_shot.protocol.startswith("4 classes by 4 prompts")


def test_missing_and_repeated_labels_of_a_list_are_left_out(tmp_path: Path) -> None:
    rows, vectors = tagged()
    expected = by_label(evaluate(dataset_of_fields(tmp_path / "lists", rows, vectors)))
    for row in rows:
        first, second = row["label"]
        row["label"] = [f" {first}", "nan", second, first, "", None]
    evaluation = evaluate(dataset_of_fields(tmp_path / "written", rows, vectors))
    assert by_label(evaluation) == expected
    assert {"placeholder", "blanks"} <= {fault.kind for fault in evaluation.faults}


def test_lists_that_polars_wrote_are_read(tmp_path: Path) -> None:
    rows, vectors = tagged()
    folder = dataset_of_fields(tmp_path / "ours", rows, vectors)
    expected = by_label(evaluate(folder))
    part = folder / "part-00000.parquet"
    metadata = pq.read_schema(part).metadata
    table = polars.read_parquet(part).to_arrow().replace_schema_metadata(metadata)
    pq.write_table(table, part)
    assert by_label(evaluate(folder)) == expected


def test_lists_are_for_labels_alone(tmp_path: Path) -> None:
    rows, vectors = tagged()
    grouped = [row | {"group": [row["group"]]} for row in rows]
    with pytest.raises(StoreError, match="column group holds list<.*>, not one value a row"):
        evaluate(dataset_of_fields(tmp_path / "a", grouped, vectors))
    nested = [row | {"label": [row["label"]]} for row in rows]
    with pytest.raises(StoreError, match="column label holds list<.*>, not one value a row"):
        evaluate(dataset_of_fields(tmp_path / "b", nested, vectors))
