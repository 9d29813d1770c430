"""A run says how far it is: files, hours of media, and the file that it has been at for long."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmembed.embedding import progress
from mmembed.embedding.embed import embed
from mmembed.embedding.engines import local
from mmembed.embedding.engines.chunk import DecodedSoFar, FileRows, InWork, Segment
from mmembed.embedding.engines.part_writer import Committed
from mmembed.embedding.progress import EmbedSummary, ProgressDisplay
from mmembed.encoders import AudioEncoder
from mmembed.media.spans import Span, TextSpan
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_picture, write_sound
from tests.embedding.faulty_preprocess import FaultySounds

LONG = InWork("talks/a\x1b[1m.flac", 0, 75.0, 7560.0)


def space(folder: Path, **faults: Any) -> Path:
    torch.manual_seed(0)
    preprocess = FaultySounds(8000, segment_seconds=1.0, hop_seconds=1.0, **faults)
    encoder = AudioEncoder("test_resnet", preprocess=preprocess)
    return Space({"audio": encoder}, dim=4).eval().save(folder)


def said(
    capsys: pytest.CaptureFixture, *steps: DecodedSoFar, files: int = 1200, kept: int = 200
) -> list[str]:
    summary = EmbedSummary(Path("out"), files=files, kept=kept, failed=3)
    with ProgressDisplay(summary) as display:
        display._started = time.monotonic() - 10.0
        for step in steps:
            display.update(step)
    return capsys.readouterr().err.splitlines()


def test_a_line_holds_files_media_failures_and_the_file_at_work(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    lines = said(
        capsys,
        DecodedSoFar(0, 0.0, InWork("b.wav", 3, 6.0, 0.0)),
        DecodedSoFar(500, 5400.0, LONG),
        DecodedSoFar(500),
    )
    assert lines == [
        "200 of 1,200 files, 3 failed, at work on b.wav or one of 3 with it for 6.0 s",
        "700 of 1,200 files, 50 files/s, 90.0 min of media, 3 failed, 10 s to go, at work on "
        "talks/a\\x1b[1m.flac for 75 s (2.1 h decoded)",
        "700 of 1,200 files, 50 files/s, 3 failed, 10 s to go",
    ]


def test_lines_are_not_said_more_often_than_every_ten_seconds(
    capsys: pytest.CaptureFixture,
) -> None:
    assert said(capsys, *[DecodedSoFar(number) for number in range(100)]) == []


def test_a_terminal_shows_the_same_beside_its_bar(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "250")
    shown = "\n".join(said(capsys, DecodedSoFar(500, 5400.0, LONG)))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "700/1200" in shown
    assert "90.0 min of media" in shown
    assert "at work on talks/a\\x1b[1m.flac for 75 s (2.1 h decoded)" in shown


def test_a_long_file_shows_while_it_is_decoded_and_in_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.5)
    monkeypatch.setattr(local, "LONG_SECONDS", 0.5)
    write_sound(tmp_path / "media/long.wav", 240.0, 1)
    folder = space(tmp_path / "space", pause=0.02)
    summary = embed(tmp_path / "media", tmp_path / "out", space=folder, workers=1, trust="tests")
    lines = [line for line in capsys.readouterr().err.splitlines() if "of 1 files" in line]
    assert len(lines) >= 3
    assert any("at work on long.wav for" in line for line in lines), lines
    assert any(re.search(r"\([0-9.]+ s decoded\)", line) for line in lines), lines
    assert dict(summary.media_seconds) == {"audio": pytest.approx(240.0)}
    assert "media embedded: 4.0 min of audio" in str(summary)


def test_pictures_have_no_hours(tmp_path: Path, tiny_space_folder: Path) -> None:
    write_picture(tmp_path / "media/a.png", 1)
    summary = embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, workers=0)
    assert "media embedded" not in str(summary)
    summary.add(Committed(2, media_seconds=Counter(video=5400.0, audio=30.0)))
    assert "media embedded: 30 s of audio, 90.0 min of video" in str(summary)


def test_seconds_that_several_rows_cover_count_once() -> None:
    rows = FileRows()
    spans = [Span(0, 0.0, 10.0), Span(1, 5.0, 15.0), Span(2, 6.0, 8.0), Span(3, 20.0, 21.0)]
    added = [rows.add(place, Segment("voice", span, "audio")) for place, span in enumerate(spans)]
    assert added == [10.0, 5.0, 0.0, 1.0]
    assert rows.add(4, Segment("video", Span(0, 0.0, 12.0))) == 12.0
    assert rows.add(5, Segment("text", TextSpan(0, 0, 9))) == rows.add(6, Segment("image")) == 0.0
    assert rows.media_seconds == {"audio": 16.0, "video": 12.0}
    assert list(rows.segments) == list(range(7))


def test_a_process_killed_in_the_middle_of_a_long_file_costs_no_row_and_doubles_none(
    tmp_path: Path,
) -> None:
    """The rest comes from another process, which leaves out the rows that were there."""
    killed = tmp_path / "killed"
    write_sound(tmp_path / "media/long.wav", 600.0, 1)
    write_sound(tmp_path / "media/short.wav", 2.0, 2)
    folder = space(tmp_path / "space", killed=str(killed), kill_at=500.0)
    options: dict[str, Any] = {"space": folder, "trust": "tests"}
    embed(tmp_path / "media", tmp_path / "out", workers=1, **options)
    assert killed.exists()
    embed(tmp_path / "media", tmp_path / "undisturbed", workers=0, **options)
    one, other = (EmbeddingTable.open(tmp_path / name) for name in ("out", "undisturbed"))
    assert len(read_errors(tmp_path / "out")) == 0
    assert len(one) == len(other) == 602
    for name in ("id", "path", "start_s", "end_s"):
        assert list(one.column(name)) == list(other.column(name))
    assert np.abs(one.vectors - other.vectors).max() <= 1e-6
