"""The user's own shares add up, name the bottleneck, and leave nothing behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mmembed.cli.commands import main
from mmembed.embedding.settings import Machine
from mmembed.errors import ConfigError, ManifestError
from mmembed.jobs.bench import STEPS, BenchReport, bench
from tests.embedding.conftest import write_picture


def report(**seconds: float) -> BenchReport:
    whole = {**dict.fromkeys(STEPS, 0.001), **seconds}
    return BenchReport(100, Counter(image=10), 0, 4, whole, 0.02)


def test_the_limit_is_what_a_perfect_overlap_would_give() -> None:
    found = report(decode=0.032, transform=0.008, model=0.005)
    assert found.limit == pytest.approx(1 / (0.040 / 4 + 0.005))
    assert "embed: 50.0 files/s (75%)" in str(found)


def test_the_bottleneck_is_what_takes_most_of_the_machine() -> None:
    assert report(decode=0.040, model=0.011).bottleneck == "model"  # 10 ms on each of 4 cores
    assert report(decode=0.048, model=0.011).bottleneck == "decode"
    assert "bottleneck: list: the file system" in str(report(list=1.0))


def test_a_real_folder_is_measured_and_left_alone(
    library: Path, tiny_space_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    before = sorted(library.rglob("*"))
    words = ["bench", str(library), "--space", str(tiny_space_folder), "--workers", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "25 files found; measured on 6 audio, 12 image, 3 video; 4 failed" in said
    assert "limit of this machine: " in said
    assert sorted(library.rglob("*")) == before


def test_shares_are_of_the_sample(library: Path, tiny_space_folder: Path) -> None:
    found = bench(library, space=tiny_space_folder, files=5, machine=Machine(workers=0))
    assert sum(found.measured.values()) + found.failed == 5
    assert all(found.seconds[step] > 0 for step in STEPS)
    assert found.run_seconds > 0


def test_mistakes_are_named(library: Path, tiny_space_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--files 0: must be at least 1"):
        bench(library, space=tiny_space_folder, files=0)
    write_picture(tmp_path / "a.png", 1)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ManifestError, match="none of 1 files can be embedded"):
        bench(tmp_path, space=tiny_space_folder)
