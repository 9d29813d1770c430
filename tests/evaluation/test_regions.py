"""Regions of a file in evaluation: items of their own, with their own labels, judged honestly."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmembed.evaluation.compare import overlaps
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.items import Items, read_items
from mmembed.evaluation.report.media_cards import media_cards
from mmembed.evaluation.report.media_files import MediaFiles
from mmembed.evaluation.report.thumbnails import URI, Wanted, thumbnail
from mmembed.store.table import EmbeddingTable
from tests.evaluation.conftest import dataset_of_fields, write_sound


def span(path: str, start: float, end: float, index: int = 0, **more: Any) -> dict[str, Any]:
    row = {
        "path": path,
        "modality": "audio",
        "segment_index": index,
        "start_s": start,
        "end_s": end,
    }
    return row | {"region": f"t={start:g},{end:g}"} | more


def items_of(
    folder: Path, rows: Sequence[dict[str, Any]], vectors: np.ndarray, pool: Any = "mean"
) -> Items:
    return read_items(EmbeddingTable.open(dataset_of_fields(folder, rows, vectors)), pool)


def test_two_spans_of_a_file_are_two_items_with_their_own_labels(tmp_path: Path) -> None:
    rows = [span("a.wav", 0, 1, label="dog"), span("a.wav", 0.5, 2, label="cat")]
    whole = {"path": "a.wav", "modality": "audio", "label": "both"}
    items = items_of(tmp_path, [*rows, whole], np.eye(3))
    assert items.path.tolist() == ["a.wav", "a.wav#t=0,1", "a.wav#t=0.5,2"]
    assert items.label.tolist() == ["both", "dog", "cat"]
    assert items.files() == ["a.wav"] * 3
    assert items.unit == "item"
    assert items.names().tolist() == items.path.tolist()


def test_segments_of_a_long_span_are_one_item_or_its_moments(tmp_path: Path) -> None:
    rows = [span("a.wav", 0, 2, region="t=0,5"), span("a.wav", 2, 5, 1, region="t=0,5")]
    rows += [span("a.wav", 2, 5)]
    items = items_of(tmp_path / "mean", rows, np.eye(3))
    assert items.path.tolist() == ["a.wav#t=0,5", "a.wav#t=2,5"]
    assert np.allclose(items.vectors[0], [2**-0.5, 2**-0.5, 0])
    moments = items_of(tmp_path / "moments", rows, np.eye(3), "moments")
    assert moments.start.tolist() == [0.0, 2.0, 2.0]
    assert moments.own(moments).tolist() == [[0, 2], [0, 2], [2, 3]]


def test_a_span_is_never_its_own_answer_but_another_of_its_file_may_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [span("a.wav", i, i + 1, label="xy"[i % 2], split="test") for i in range(8)]
    scored = evaluate(dataset_of_fields(tmp_path / "out", rows, rng.normal(size=(8, 4))))
    (direction,) = [d for d in scored.directions if d.relevance == "label"]
    assert direction.targets == 7
    assert direction.result.relevant.tolist() == [3] * 8
    exact = dataset_of_fields(tmp_path / "alike", rows, np.eye(8))
    (blind,) = [d for d in evaluate(exact).directions if d.relevance == "label"]
    chance = blind.result.chance()["mAP"]
    assert blind.result.summary()["mAP"] == pytest.approx(chance, abs=1e-6), "not 1: not itself"


def test_spans_of_one_file_are_one_piece_of_evidence_unless_groups_say_otherwise(
    tmp_path: Path,
) -> None:
    rows = [span(f"{i % 3}.wav", i, i + 1, label="ab"[i % 2]) for i in range(12)]
    items = items_of(tmp_path / "files", rows, np.random.default_rng(1).normal(size=(12, 4)))
    assert len(set(items.groups())) == 3
    for i, row in enumerate(rows):
        row["group"] = f"turn {i // 2}"
    items = items_of(tmp_path / "groups", rows, np.random.default_rng(1).normal(size=(12, 4)))
    assert len(set(items.groups())) == 6


def test_sound_and_pictures_of_one_span_share_its_stem(tmp_path: Path) -> None:
    rows = [
        span("x/film.mp4", i, i + 1.5, modality=m) for i in range(3) for m in ("audio", "video")
    ]
    vectors = np.repeat(np.eye(3), 2, axis=0)
    items = items_of(tmp_path, rows, vectors)
    stems = items.keys("stem")
    audio, video = stems[items.field == "audio"], stems[items.field == "video"]
    assert audio.tolist() == video.tolist()
    assert len(set(audio.tolist())) == 3
    scored = evaluate(tmp_path, relevance="stem")
    assert {d.name for d in scored.directions} == {"audio → video", "video → audio"}
    assert all(d.result.summary()["R@1"] == 1 for d in scored.directions)


def test_judgements_name_regions_as_items_are_named(tmp_path: Path) -> None:
    rows = [{"path": "q.png", "modality": "image"}]
    rows += [span("a.wav", i, i + 1.5) for i in range(4)]
    vectors = np.array([[0, 0, 1.0, 0, 0], *np.eye(5)[:4]])
    qrels = tmp_path / "qrels.csv"
    qrels.write_text('query,target\nq.png,"a.wav#t=2,3.5"\n')
    scored = evaluate(dataset_of_fields(tmp_path / "out", rows, vectors), qrels=qrels)
    (direction,) = scored.directions
    assert direction.result.summary()["R@1"] == 1
    assert not [fault for fault in scored.faults if "qrels" in fault.kind]


def test_two_datasets_are_compared_region_by_region(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(10, 6))
    rows = [span("a.wav", i, i + 1, label="xy"[i % 2]) for i in range(10)]
    here = dataset_of_fields(tmp_path / "a", rows, vectors)
    order = rng.permutation(10)
    there = dataset_of_fields(tmp_path / "b", [rows[i] for i in order], vectors[order])
    compared = evaluate(here, against=there).comparison
    assert compared is not None
    assert compared.unmatched == 0
    assert all(change.value == pytest.approx(change.other) for change in compared.changes)
    both = [read_items(EmbeddingTable.open(each)) for each in (here, there)]
    assert overlaps(*both) == {"audio": pytest.approx(1.0)}


def picture(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data.removeprefix(URI)))).convert("RGB")


def test_the_report_shows_the_region_and_not_the_file(tmp_path: Path) -> None:
    media = Image.new("RGB", (200, 100), "red")
    media.paste("blue", (100, 0, 200, 100))
    media.save(tmp_path / "a.png")
    write_sound(tmp_path / "a.wav", np.random.default_rng(0))
    blue = {"path": "a.png", "modality": "image", "region": "xywh=120,10,60,60"}
    rows = [blue, {"path": "a.png", "modality": "image"}, span("a.wav", 0.25, 0.75)]
    items = items_of(tmp_path / "out", rows, np.eye(3))
    thumbnails, unshown = media_cards(items, range(3), [], MediaFiles(str(tmp_path)))
    assert unshown == []
    by_name = {items.path[i]: each for i, each in thumbnails.items()}
    colour = np.asarray(picture(by_name["a.png#xywh=120,10,60,60"].picture)).mean((0, 1))
    assert colour[2] > 200 > 60 > colour[0]
    assert 80 < np.asarray(picture(by_name["a.png"].picture)).mean((0, 1))[0] < 180
    assert by_name["a.wav#t=0.25,0.75"].picture


@pytest.mark.parametrize("region", ["t=2,1", "xywh=1,2", "xywh=nan,0,1,1", "xywh=0,0,1e12,1", "?"])
def test_a_region_that_a_stranger_made_up_shows_nothing(tmp_path: Path, region: str) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    made = thumbnail(Wanted(tmp_path / "a.png", "picture", region=region))
    assert not made.sound
    assert len(made.picture) < 2000


def test_queries_are_written_with_the_names_of_their_regions(tmp_path: Path) -> None:
    rows = [span("a.wav", i, i + 1, label="xy"[i % 2]) for i in range(4)]
    data = dataset_of_fields(tmp_path / "out", rows, np.random.default_rng(0).normal(size=(4, 3)))
    evaluate(data, report=tmp_path / "report")
    written = pq.read_table(tmp_path / "report" / "queries.parquet")
    assert written["path"].to_pylist() == [f"a.wav#t={i},{i + 1}" for i in range(4)]
    assert pa.types.is_string(written.schema.field("path").type)
