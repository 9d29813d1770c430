"""Spans and boxes of a manifest: the same from CSV, JSONL and Parquet; faults cost their row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.errors import ManifestError
from mmembed.store.manifest import read_manifest
from mmembed.store.regions import RegionColumns

NAN, INF = float("nan"), float("inf")


def regions(path: Path, columns: dict[str, Any]) -> list[tuple[str | None, str | None, str]]:
    """Span, box and fault of each row of a manifest that is written so."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        rows = zip(*columns.values(), strict=True)
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
        path.write_text("\n".join(lines))
    else:
        rows = zip(*columns.values(), strict=True)
        quoted = [["" if v is None else f'"{v}"'.replace('.0"', '"') for v in row] for row in rows]
        path.write_text("\n".join(map(",".join, [[*columns], *quoted])))
    samples = read_manifest(path)
    each = RegionColumns(samples)
    return [
        (each.name("audio", row), each.name("image", row), each.fault(row))
        for row in range(len(samples))
    ]


BOTH = {"audio": ["a.wav"] * 3, "image": ["a.png"] * 3}
RIGHT = [
    ("t=0,2.5", "xywh=1,2,3,4", ""),
    (None, "xywh=0.5,0,10,20", ""),
    ("t=100,1000.125", None, ""),
]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_every_kind_of_manifest_says_the_same_regions(tmp_path: Path, suffix: str) -> None:
    times = {"start_s": [0, None, 100], "end_s": [2.5, None, 1000.125]}
    boxes: list[Any] = [[1, 2, 3, 4], [0.5, 0, 10, 20], None]
    if suffix == ".csv":
        boxes = ["1, 2,3,4", "[0.5 0 10 20]", None]
    assert regions(tmp_path / f"m{suffix}", {**BOTH, **times, "box": boxes}) == RIGHT


def test_parquet_holds_boxes_as_lists_structs_or_text(tmp_path: Path) -> None:
    pairs = [(1, 2, 3, 4), (0.5, 0, 10, 20)]
    names = ("x", "y", "width", "height")
    structs = [dict(zip(names, pair, strict=True)) for pair in pairs]
    shuffled = pa.array([{n: s[n] for n in ("width", "x", "height", "y")} for s in structs])
    for boxes in (
        pa.array([list(pair) for pair in pairs], pa.list_(pa.float32())),
        pa.array([list(pair) for pair in pairs], pa.list_(pa.float64(), 4)),
        pa.array([[1, 2, 3, 4], [0, 0, 10, 20]], pa.list_(pa.int16())),
        pa.array(structs),
        shuffled,
        pa.array(["1 2 3 4", "(0.5, 0, 10, 20)"]),
    ):
        table = {"image": ["a.png", "b.png"], "box": boxes}
        told = regions(tmp_path / "m.parquet", table)
        assert told[0] == (None, "xywh=1,2,3,4", "")
        assert told[1][1] in ("xywh=0.5,0,10,20", "xywh=0,0,10,20")


def test_numbers_may_be_of_any_type_and_are_taken_exactly(tmp_path: Path) -> None:
    ends = pa.array(["2.50", "3e0", "+4"])
    for starts in (
        pa.array([1, 1, 1], pa.int8()),
        pa.array([1.0] * 3, pa.float32()),
        pa.array(["1"] * 3),
    ):
        told = regions(
            tmp_path / "m.parquet", {"audio": ["a"] * 3, "start_s": starts, "end_s": ends}
        )
        assert [name for name, _, _ in told] == ["t=1,2.5", "t=1,3", "t=1,4"]


def test_rows_without_either_are_whole_and_a_manifest_without_both_is_as_ever(
    tmp_path: Path,
) -> None:
    empty = {"audio": ["a.wav"], "start_s": [""], "end_s": [" "], "box": [""]}
    assert regions(tmp_path / "m.csv", empty) == [(None, None, "")]
    pq.write_table(pa.table({"audio": ["a.wav"]}), tmp_path / "m.parquet")
    samples = read_manifest(tmp_path / "m.parquet")
    assert not RegionColumns(samples)
    assert not [name for name in samples.column_names if "row" in name]


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        (5.0, 2.0, "column end_s: 2 is not after start_s, 5"),
        (5.0, 5.0, "column end_s: 5 is not after start_s, 5"),
        (NAN, 2.0, "column start_s: nan is no number of seconds"),
        (1.0, NAN, "column end_s: nan is no number of seconds"),
        (1.0, INF, "column end_s: inf is no number of seconds"),
        (-0.5, 2.0, "column start_s: -0.5 is below 0"),
        (1.0, None, "column end_s: is empty, but start_s is 1"),
        (None, 1.0, "column start_s: is empty, but end_s is 1"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_span_that_can_not_be_is_a_fault_of_its_row(
    tmp_path: Path, suffix: str, start: float | None, end: float | None, fault: str
) -> None:
    columns = {"audio": ["a"] * 2, "start_s": [1.0, start], "end_s": [2.0, end]}
    good, bad = regions(tmp_path / f"m{suffix}", columns)
    assert good == ("t=1,2", None, "")
    assert bad[2] == f"row 1, {fault}"
    assert bad[0], "it has a name of its own, so that it is told from others"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("00:01:02", "is no number of seconds"),
        ("1_0", "is no number of seconds"),
        ("5 s", "is no number of seconds"),
    ],
)
def test_other_ways_to_write_a_time_are_not_guessed(tmp_path: Path, text: str, what: str) -> None:
    ((_, _, fault),) = regions(
        tmp_path / "m.csv", {"audio": ["a"], "start_s": [text], "end_s": ["9"]}
    )
    assert fault == f"row 0, column start_s: {text} {what}"


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ("1,2,3", "1,2,3 is not x, y, width and height"),
        ("1,2,3,4,5", "1,2,3,4,5 is not x, y, width and height"),
        ("1,2,x,4", "1,2,x,4 is not x, y, width and height"),
        ("nan,2,3,4", "nan,2,3,4 is not x, y, width and height"),
        ("1,2,0,4", "1,2,0,4 is empty"),
        ("1,2,3,-4", "1,2,3,-4 is empty"),
    ],
)
def test_a_box_that_can_not_be_is_a_fault_of_its_row(tmp_path: Path, box: str, fault: str) -> None:
    ((_, _, said),) = regions(tmp_path / "m.csv", {"image": ["a"], "box": [box]})
    assert said == f"row 0, column box: {fault}"


def test_a_region_of_what_a_row_has_not_is_a_fault(tmp_path: Path) -> None:
    """A span is for the sound and video of a row, a box for its picture; texts have neither."""
    columns = {
        "image": ["a.png", None, "a.png", None],
        "audio": [None, "a.wav", "a.wav", None],
        "text": [None, None, "words", "words"],
        "start_s": [1, None, 1, 1],
        "end_s": [2, None, 2, 2],
        "box": [None, [1, 2, 3, 4], [1, 2, 3, 4], None],
    }
    told = regions(tmp_path / "m.parquet", columns)
    none = "is for sounds and videos, and the row has none"
    assert [fault for _, _, fault in told] == [
        f"row 0, column start_s: a span {none}",
        "row 1, column box: a box is for pictures, and the row has none",
        "",
        f"row 3, column start_s: a span {none}",
    ]
    assert told[2] == ("t=1,2", "xywh=1,2,3,4", "")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"start_s": [[1.0]], "end_s": [2.0]},
            "column start_s holds list<.*>, which is no text or number",
        ),
        (
            {"box": [{"x": 1, "y": 2, "w": 3, "h": 4}]},
            "column box holds x, y, w, h, not x, y, width and height",
        ),
    ],
)
def test_a_column_that_can_hold_none_is_refused(
    tmp_path: Path, columns: dict, message: str
) -> None:
    pq.write_table(pa.table({"audio": ["a"], **columns}), tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / "m.parquet")


def test_a_field_of_a_space_may_be_called_box(tmp_path: Path) -> None:
    pq.write_table(pa.table({"box": ["a.png"]}), tmp_path / "m.parquet")
    samples = read_manifest(tmp_path / "m.parquet", {"box": "image"})
    assert not RegionColumns(samples)
    assert samples["box"].to_pylist() == ["a.png"]


def test_a_misspelt_column_is_told_its_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"audio": ["a"], "start": [1], "end_s": [2]}), tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match="unknown column start; did you mean start_s"):
        read_manifest(tmp_path / "m.parquet")
