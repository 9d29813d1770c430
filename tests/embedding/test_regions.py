"""Spans and boxes of a manifest as rows of their own, with the vector of the file cut out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from tests.embedding.region_media import (
    RATE,
    errors_of,
    manifest,
    rows_of,
    span_rows,
    squares,
    tones,
)

Make = Callable[..., Any]
SECONDS = [(0.0, 1.0), (1.0, 2.0), (3.0, 4.5), (7.0, 8.0)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_span_has_the_vector_of_the_sound_that_was_cut_out(
    run: Make, tmp_path: Path, workers: int
) -> None:
    samples = tones(tmp_path / "long.wav", 10)
    (tmp_path / "cut").mkdir()
    for i, (start, end) in enumerate(SECONDS):
        part = samples[round(start * RATE) : round(end * RATE)]
        soundfile.write(tmp_path / f"cut/{i}.wav", part, RATE, subtype="FLOAT")
    source = manifest(tmp_path, span_rows(SECONDS[::-1], label="x"))
    summary = run(source, workers=workers)
    assert (summary.files, summary.embedded, summary.failed, summary.repeated) == (4, 4, 0, 0)
    run(tmp_path / "cut", out=tmp_path / "alone")
    rows, alone = rows_of(tmp_path / "out"), rows_of(tmp_path / "alone")
    assert [(row["start_s"], row["end_s"]) for row in rows] == SECONDS, "in the order of time"
    assert [row["region"] for row in rows] == ["t=0,1", "t=1,2", "t=3,4.5", "t=7,8"]
    assert [row["sample_id"] for row in rows] == ["s3", "s2", "s1", "s0"]
    assert {
        (r["path"], r["segment_index"], r["duration_s"], r["label"], r["box"]) for r in rows
    } == {("long.wav", 0, 10.0, "x", None)}
    assert len({row["id"] for row in rows}) == 4
    for row, other in zip(rows, alone, strict=True):
        assert np.abs(row["vector"] - other["vector"]).max() <= 1e-5
    apart = [np.linalg.norm(a["vector"] - b["vector"]) for a in rows for b in rows if a is not b]
    assert min(apart) > 1e-3, "vectors that are all alike would prove nothing"


def test_a_long_span_is_cut_into_segments_as_a_file_is(run: Make, tmp_path: Path) -> None:
    samples = tones(tmp_path / "long.wav", 10)
    soundfile.write(tmp_path / "cut.wav", samples[2 * RATE : 7 * RATE], RATE, subtype="FLOAT")
    run(manifest(tmp_path, span_rows([(2.0, 7.0), (2.0, 4.0)])))
    run(manifest(tmp_path, [{"audio": "cut.wav"}], "alone.parquet"), out=tmp_path / "alone")
    short, *long = rows_of(tmp_path / "out")
    assert (short["region"], short["start_s"], short["end_s"]) == ("t=2,4", 2.0, 4.0)
    assert {row["region"] for row in long} == {"t=2,7"}
    told = [(row["segment_index"], row["start_s"], row["end_s"]) for row in long]
    assert told == [(0, 2.0, 4.0), (1, 4.0, 6.0), (2, 6.0, 7.0)]
    alone = rows_of(tmp_path / "alone")
    assert [(r["segment_index"], r["start_s"] + 2) for r in alone] == [(i, s) for i, s, _ in told]
    for row, other in zip(long, alone, strict=True):
        assert np.abs(row["vector"] - other["vector"]).max() <= 1e-5
    assert np.array_equal(short["vector"], long[0]["vector"])
    assert len({row["id"] for row in (short, *long)}) == 4


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_box_has_the_vector_of_the_picture_that_was_cut_out(
    run: Make, tmp_path: Path, suffix: str
) -> None:
    pixels = squares(tmp_path / "whole.png")
    boxes = [[0, 0, 25, 20], [10, 5, 60, 70], [25, 0, 25, 20]]
    (tmp_path / "cut").mkdir()
    for x, y, w, h in boxes:
        name = f"xywh={x},{y},{w},{h}.png"
        Image.fromarray(pixels[y : y + h, x : x + w]).save(tmp_path / "cut" / name)
    source = tmp_path / f"m.{suffix}"
    if suffix == "parquet":
        manifest(tmp_path, [{"image": "whole.png", "box": box} for box in boxes])
    elif suffix == "jsonl":
        lines = [f'{{"image": "whole.png", "box": {box}}}' for box in boxes]
        source.write_text("\n".join(lines))
    else:
        source.write_text("\n".join(["image,box", *(f'whole.png,"{b}"' for b in boxes)]))
    assert run(source).embedded == 3
    run(tmp_path / "cut", out=tmp_path / "alone")
    rows = {f"{row['region']}.png": row for row in rows_of(tmp_path / "out")}
    alone = {row["path"]: row for row in rows_of(tmp_path / "alone")}
    assert rows.keys() == alone.keys()
    for name, row in rows.items():
        assert np.abs(row["vector"] - alone[name]["vector"]).max() <= 1e-6
        assert row["box"] in boxes
        assert (row["width"], row["height"], row["segment_index"]) == (100, 80, None)
    vectors = [row["vector"] for row in rows.values()]
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_each_medium_of_a_row_takes_the_region_that_is_for_it(
    run: Make, tmp_path: Path, encode_video: Make, numbered: Make, tone: Make
) -> None:
    squares(tmp_path / "a.png")
    (tmp_path / "film.mp4").write_bytes(encode_video(numbered(75), sound=tone(3)))
    row = {"image": "a.png", "audio": "film.mp4", "video": "film.mp4", "label": "x"}
    run(manifest(tmp_path, [row | {"start_s": 1, "end_s": 2, "box": [0, 0, 50, 40]}, row]))
    assert not errors_of(tmp_path / "out")
    told = {
        (r["modality"], r["region"]): (r["start_s"], r["end_s"]) for r in rows_of(tmp_path / "out")
    }
    assert told[("image", "xywh=0,0,50,40")] == told[("image", None)] == (None, None)
    assert told[("audio", "t=1,2")] == told[("video", "t=1,2")] == (1.0, 2.0)
    assert ("audio", None) in told


def test_what_a_row_says_wrongly_costs_that_row_and_names_it(run: Make, tmp_path: Path) -> None:
    tones(tmp_path / "long.wav", 10)
    squares(tmp_path / "a.png")
    nan = float("nan")
    wrong = [(5, 2), (nan, 2), (-1, 2), (3, None), (9, 11), (12, 13)]
    rows = [{"audio": "long.wav", "start_s": a, "end_s": b} for a, b in [(0, 1), *wrong, (1, 2)]]
    boxes = [[0, 0, 101, 80], [0, 0, 0, 5], [200, 0, 5, 5], [0, 0, 25, 20]]
    rows += [{"image": "a.png", "box": box} for box in boxes]
    rows += [{"image": "a.png", "start_s": 1, "end_s": 2}, {"audio": "long.wav", "box": boxes[3]}]
    rows += [{"image": "a.png"}]
    types = {"start_s": pa.float64(), "end_s": pa.float64(), "box": pa.list_(pa.float64())}
    columns = {
        name: pa.array(
            [row.get(name) for row in rows], types.get(name, pa.string()), from_pandas=False
        )
        for name in ("audio", "image", *types)
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    summary = run(tmp_path / "m.parquet")
    assert (summary.embedded, summary.failed) == (4, 11)
    good = [row["region"] for row in rows_of(tmp_path / "out")]
    assert good == [None, "xywh=0,0,25,20", "t=0,1", "t=1,2"]
    said = errors_of(tmp_path / "out")
    assert said == {
        "t=5,2": "m.parquet, row 1, column end_s: 2 is not after start_s, 5",
        "t=nan,2": "m.parquet, row 2, column start_s: nan is no number of seconds",
        "t=-1,2": "m.parquet, row 3, column start_s: -1 is below 0",
        "t=3,": "m.parquet, row 4, column end_s: is empty, but start_s is 3",
        "t=9,11": "m.parquet, row 5, column end_s: 11 is beyond the end, at 10.00 s",
        "t=12,13": "m.parquet, row 6, column start_s: 12 is beyond the end, at 10.00 s",
        "xywh=0,0,101,80": "m.parquet, row 8, column box: 0,0,101,80 reaches beyond the picture "
        "of 100 × 80 pixels",
        "xywh=0,0,0,5": "m.parquet, row 9, column box: 0,0,0,5 is empty",
        "xywh=200,0,5,5": "m.parquet, row 10, column box: 200,0,5,5 reaches beyond the picture "
        "of 100 × 80 pixels",
        "t=1,2": "m.parquet, row 12, column start_s: a span is for sounds and videos, and the row "
        "has none",
        "xywh=0,0,25,20": "m.parquet, row 13, column box: a box is for pictures, and the row has "
        "none",
    }
    again = run(tmp_path / "m.parquet")
    assert (again.kept, again.kept_failed, again.embedded, again.removed) == (15, 11, 0, 0)
