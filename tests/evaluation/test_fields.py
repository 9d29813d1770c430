"""Fields of any name and modality: cells are items, and directions, faults and classes know them.

Datasets have the columns that a space of texts and ids gives them: ``field``, ``cell``, ``text``,
``start_char`` and ``end_char``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from mmembed.cli.commands import main
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.items import read_items
from mmembed.evaluation.queries import query_table
from mmembed.evaluation.tables import markdown
from mmembed.store.table import EmbeddingTable

from .conftest import Row, dataset, dataset_of_fields, digits
from .test_schema import SCHEMA

MANIFEST = "manifest.parquet"


def cell(field: str, kind: str, name: str, **columns: Any) -> Row:
    return {"path": MANIFEST, "field": field, "modality": kind, "cell": name, **columns}


def tastes(folder: Path, count: int = 20) -> Path:
    """Users and items as ids, of four tastes each."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        for field in ("user", "item"):
            name = f"id:{field[0]}{i}#0"
            rows.append(cell(field, "category", name, text=f'"{field[0]}{i}"', label=str(i % 4)))
    vectors = np.repeat(np.tile(np.eye(4, 6), (count // 4, 1)), 2, 0)
    return dataset_of_fields(folder, rows, vectors + 0.05 * rng.normal(size=vectors.shape))


def test_directions_and_scores_go_by_field(tmp_path: Path) -> None:
    evaluation = evaluate(tastes(tmp_path / "data"), tmp_path / "report")
    assert [d.name for d in evaluation.directions] == ["item → user", "user → item"]
    assert [d.result.mean("mAP") for d in evaluation.directions] == [1.0, 1.0]
    assert evaluation.protocol["scored"] == "all 40 cells"
    assert evaluation.faults == []
    numbers = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    jsonschema.validate(numbers, SCHEMA, jsonschema.Draft202012Validator)
    assert numbers["counts"] == {"item": 20, "user": 20}
    assert numbers["fields"] == {"item": "category", "user": "category"}
    assert {row["modality"] for row in numbers["classification"]} == {"item", "user"}
    assert {"hubness user", "modality gap item, user"} <= set(numbers["geometry"])
    assert "| field | method |" in markdown(numbers)


def test_bounds_name_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(tastes(tmp_path)), "--fail-under"]
    assert main([*words, "user-item/mAP=0.9,label:item-user/R@1=0.9,user/k-nn=0.9"]) == 0
    assert main([*words, "user-item/mAP=1.1"]) == 1
    assert "label:user-item/mAP is 1, below 1.1" in capsys.readouterr().err
    assert main([*words, "category-item/mAP=0.9"]) == 2
    assert "there are item-user, user-item" in capsys.readouterr().err


def test_two_datasets_are_compared_cell_by_cell(tmp_path: Path) -> None:
    evaluation = evaluate(tastes(tmp_path / "one"), against=tastes(tmp_path / "two"))
    assert evaluation.comparison is not None
    assert evaluation.comparison.unmatched == 0
    assert evaluation.comparison.overlap == {"item": 1.0, "user": 1.0}


def test_a_cell_is_an_item_with_all_its_segments(tmp_path: Path) -> None:
    long = "a quick fox jumps"
    rows = [
        cell("text", "text", "id:2#0", text="a cat"),
        cell("text", "text", "id:1#0", segment_index=1, text=long[8:], start_char=8, end_char=17),
        cell("text", "text", "id:1#1", text="a dog"),
        cell("text", "text", "id:1#0", segment_index=0, text=long[:11], start_char=0, end_char=11),
    ]
    vectors = np.array([[1.0, 0], [0, 1], [-1, 0], [1, 0]])
    data = dataset_of_fields(tmp_path, rows, vectors)
    items = read_items(EmbeddingTable.open(data))
    assert items.path.tolist() == [f"{MANIFEST}#id:{n}#{k}" for n, k in ((1, 0), (1, 1), (2, 0))]
    assert items.text.tolist() == [long, "a dog", "a cat"]
    assert items.cell.tolist() == ["id:1#0", "id:1#1", "id:2#0"]
    assert np.allclose(items.vectors, [[2**-0.5, 2**-0.5], [-1, 0], [1, 0]])
    assert items.groups().tolist() == items.path.tolist()
    moments = read_items(EmbeddingTable.open(data), "max")
    assert moments.text.tolist() == items.text.tolist()


def test_moments_of_a_text_are_named_by_their_characters(tmp_path: Path) -> None:
    rows: list[Row] = [
        cell(
            "text",
            "text",
            f"id:{i}#0",
            segment_index=k,
            start_s=None,
            end_s=None,
            text=f"{i} {k}" * 100,
            start_char=300 * k,
            end_char=300 * k + 300,
            group=str(i),
        )
        for i in range(3)
        for k in range(2)
    ]
    sound = {"path": "0.wav", "modality": "audio", "field": "audio", "group": "0"}
    rows += [
        {**sound, "segment_index": k, "start_s": 2.0 * k, "end_s": 2.0 * k + 2} for k in (0, 1)
    ]
    data = dataset_of_fields(tmp_path / "data", rows, np.random.default_rng(0).normal(size=(8, 4)))
    evaluation = evaluate(data, tmp_path / "report", pool="moments")
    items = evaluation.items
    assert evaluation.protocol["scored"] == "all 8 moments"
    assert items.names().tolist()[:3] == [
        "0.wav from 0 s",
        "0.wav from 2 s",
        f"{MANIFEST}#id:0#0 from character 0",
    ]
    table = query_table(evaluation).to_pylist()
    texts = {(row["start_char"], row["end_char"], row["start_s"]) for row in table[2:]}
    assert texts == {(0, 300, None), (300, 600, None)}
    sounds = [(row["start_char"], row["start_s"]) for row in table[:2]]
    assert sounds == [(None, 0.0), (None, 2.0)]
    by_name = {d.name: d.result.relevant.tolist() for d in evaluation.directions}
    assert by_name == {"audio → text": [2, 2], "text → audio": [2, 2]}  # a text has no seconds
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "characters 300–600" in page


def test_cells_and_files_of_one_sample_belong_together(tmp_path: Path) -> None:
    rows = [cell("text", "text", f"id:{i}#0", text=f"number {i}") for i in range(4)]
    rows += [{"path": f"a/{i}.png", "field": "image", "modality": "image"} for i in range(4)]
    evaluation = evaluate(dataset_of_fields(tmp_path, rows, np.tile(np.eye(4), (2, 1))))
    assert [(d.relevance, d.name) for d in evaluation.directions] == [
        ("stem", "image → text"),
        ("stem", "text → image"),
    ]
    assert [d.result.mean("mAP") for d in evaluation.directions] == [1.0, 1.0]
    assert evaluation.protocol["scored"] == "all 8 items"


def test_cells_without_an_id_belong_to_nothing_by_their_stem(tmp_path: Path) -> None:
    rows = [cell("text", "text", f"content:{i}#0", text=f"number {i}") for i in range(4)]
    items = read_items(EmbeddingTable.open(dataset_of_fields(tmp_path, rows, np.eye(4))))
    assert items.keys("stem").tolist() == [-1] * 4


def titles(folder: Path, **changes: Any) -> Path:
    """Pictures of three classes, with two fields of texts on each."""
    rng, rows, vectors = np.random.default_rng(1), [], []
    for i in range(12):
        about = {"label": f"class {i % 3}", "group": f"pair {i}"}
        rows.append({"path": f"{i}.png", "modality": "image", "field": "image", **about})
        rows.append(cell("title", "text", f"id:{i}#0", text=f"title {i}", **about))
        rows.append(cell("body", "text", f"id:{i}#0", text=f"body {i}", **about))
        vectors += [np.eye(8)[i % 3] + 0.1 * rng.normal(size=8) for _ in range(3)]
    for place, change in changes.items():
        rows[int(place.removeprefix("row"))] |= change
    return dataset_of_fields(folder, rows, np.array(vectors))


def test_zero_shot_names_the_fields_of_its_texts(tmp_path: Path) -> None:
    evaluation = evaluate(titles(tmp_path))
    by_field = {
        field: [c for c in results if c.method == "zero-shot"]
        for field, results in evaluation.classification.items()
    }
    assert list(by_field) == ["image", "body", "title"]
    assert (by_field["body"], by_field["title"]) == ([], [])
    (zero_shot,) = by_field["image"]
    assert zero_shot.protocol.startswith("3 classes by 24 text rows of body, title → 12 test rows")
    assert zero_shot.accuracy == 1.0


def test_repeated_texts_are_sought_in_each_field_alone(tmp_path: Path) -> None:
    same = {"text": "the same words"}
    across = evaluate(titles(tmp_path / "across", row1=same, row2=same))
    assert across.faults == []
    within = evaluate(titles(tmp_path / "within", row1=same, row4=same, row2={"text": "?!"}))
    assert [(fault.kind, fault.message.split(" with")[0]) for fault in within.faults] == [
        ("empty-query", "1 body query"),
        ("duplicate-query", "1 of 12 title queries"),
    ]


def test_templates_of_each_class_are_averaged(tmp_path: Path) -> None:
    """The first template of each class is nearer to the next class: only the mean is right."""
    lean = [1.2, -1.2]
    rows, vectors = [], []
    for label in range(3):
        for k in range(2):
            words = ("a photo of {}", "{}, drawn")[k].format(label)
            rows.append(cell("text", "text", f"id:{label}#{k}", text=words, label=str(label)))
            vectors.append(np.eye(4)[label] + lean[k] * np.eye(4)[(label + 1) % 3])
    for i in range(9):
        row = {"path": f"{i}.png", "modality": "image", "field": "image", "label": str(i % 3)}
        rows.append(row)
        vectors.append(np.eye(4)[i % 3])
    data = dataset_of_fields(tmp_path, rows, np.array(vectors))
    (zero_shot,) = (c for c in evaluate(data).classification["image"] if c.method == "zero-shot")
    assert zero_shot.protocol.startswith("3 classes by 6 text rows → 9 test rows")
    assert zero_shot.accuracy == 1.0


def test_users_and_items_may_be_in_every_split(tmp_path: Path) -> None:
    rows, vectors = [], []
    for i in range(60):
        for field in ("user", "item"):
            split = "train" if i < 30 else "test"
            name = f"id:{i}#0"
            rows.append(
                cell(field, "category", name, text=f'"{i % 30}"', split=split, group=str(i))
            )
            vectors.append(np.random.default_rng(i % 30 + 100 * (field == "user")).normal(size=16))
    evaluation = evaluate(dataset_of_fields(tmp_path, rows, np.array(vectors)))
    assert evaluation.faults == []


def test_a_modality_that_is_not_known_has_all_scores(tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    smells = [
        row | {"modality": "smell", "field": "nose"} if row["modality"] == "video" else row
        for row in rows
    ]
    data = dataset_of_fields(tmp_path / "data", smells, vectors)
    evaluation = evaluate(data, tmp_path / "report")
    usual = evaluate(dataset(tmp_path / "usual", rows, vectors))
    assert list(evaluation.items.fields.items())[-1] == ("nose", "smell")
    named = {d.name.replace("video", "nose"): d.result.mean("mAP") for d in usual.directions}
    assert {d.name: d.result.mean("mAP") for d in evaluation.directions} == named
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert '<blockquote class="words" title="video/test-00.mp4">video/test-00.mp4' in page


def test_a_dataset_without_fields_reports_what_one_with_fields_called_alike_does(
    tmp_path: Path,
) -> None:
    rows, vectors = digits("test", 9, np.random.default_rng(0))
    named = [row | {"field": row["modality"]} for row in rows]
    older, newer = (
        dataset_of_fields(tmp_path / f"{i}", r, vectors) for i, r in enumerate((rows, named))
    )
    assert "fields" not in evaluate(older).to_dict()
    assert json.dumps(evaluate(older).to_dict()) == json.dumps(evaluate(newer).to_dict())


def test_one_file_of_two_kinds_in_a_field_is_two_items(tmp_path: Path) -> None:
    rows = [
        {"path": "a.mp4", "field": "clip", "modality": kind, "segment_index": k}
        for kind in ("video", "audio")
        for k in range(2)
    ]
    items = read_items(EmbeddingTable.open(dataset_of_fields(tmp_path, rows, np.eye(4))))
    assert items.kind.tolist() == ["audio", "video"]
    assert items.vectors.argmax(1).tolist() == [2, 0]
