"""The user's own shares add up, name the bottleneck, and leave nothing behind."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmembed.cli.commands import main
from mmembed.embedding.settings import Machine
from mmembed.errors import ConfigError, ManifestError
from mmembed.jobs.bench import ADVICE, STEPS, BenchReport, bench
from mmembed.space.space_json import Precision
from tests.embedding.conftest import write_clip, write_picture, write_sound


def report(**seconds: float) -> BenchReport:
    whole = {**dict.fromkeys(STEPS, 0.001), **seconds}
    return BenchReport(100, Counter(image=10), 0, 4, whole, 0.02)


def test_the_limit_is_what_a_perfect_overlap_would_give() -> None:
    measured = report(decode=0.032, transform=0.008, model=0.005)
    assert measured.limit == pytest.approx(1 / (0.040 / 4 + 0.005))
    assert "embed: 50.0 files/s (75%)" in str(measured)


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
    measured = bench(library, space=tiny_space_folder, files=5, machine=Machine(workers=0))
    assert sum(measured.measured.values()) + measured.failed == 5
    assert all(measured.seconds[step] > 0 for step in STEPS)
    assert measured.run_seconds > 0


def test_each_step_is_what_the_report_says_of_it() -> None:
    lines = str(report(decode=0.040, transform=0.004, model=0.011, write=0.0005)).splitlines()
    assert lines[0] == "100 files found; measured on 10 image; 0 failed"
    rows = {line.split()[0]: line.split()[1:3] for line in lines[2 : 2 + len(STEPS)]}
    total = 0.001 + 0.040 / 4 + 0.004 / 4 + 0.011 + 0.0005
    for step, seconds in {"list": 0.001, "model": 0.011, "write": 0.0005}.items():
        assert rows[step] == [f"{1e3 * seconds:.3f}", f"{seconds / total:.0%}"]
    assert rows["decode"] == ["40.000", f"{0.010 / total:.0%}"]
    assert [line for line in lines if line.endswith("on each of 4 cores")] == lines[3:5]
    assert lines[-1].startswith("bottleneck: model: a GPU, bf16 or a smaller model would help")


@given(
    st.fixed_dictionaries({step: st.floats(1e-6, 10) for step in STEPS}),
    st.integers(1, 64),
    st.floats(1e-6, 10),
)
def test_no_step_is_faster_than_the_limit_and_the_bottleneck_takes_most(
    seconds: dict[str, float], cores: int, run: float
) -> None:
    measured = BenchReport(10, Counter(image=1), 0, cores, seconds, run)
    worst = max(seconds["decode"] / cores, seconds["transform"] / cores, seconds["model"])
    assert measured.limit <= 1 / worst * (1 + 1e-9)
    assert measured.shares[measured.bottleneck] == max(measured.shares.values())
    assert measured.bottleneck in STEPS
    assert all(measured.seconds[step] == seconds[step] for step in STEPS)
    shown = [int(share) for share in re.findall(r" (\d+)%", str(measured))[: len(STEPS)]]
    assert abs(sum(shown) - 100) <= len(STEPS)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_is_measured_with_any_workers_and_precision(
    library: Path, tiny_space_folder: Path, workers: int, precision: Precision
) -> None:
    machine = Machine(workers=workers, batch_size=3)
    measured = bench(library, space=tiny_space_folder, machine=machine, precision=precision)
    assert measured.cores == max(workers, 1)
    assert 0 < measured.run_seconds < 60
    assert torch.get_num_threads() > 0


def test_the_draw_is_the_same_for_a_seed_and_another_for_another(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    for i in range(12):
        write_picture(tmp_path / f"media/{i}.png", i)
        write_sound(tmp_path / f"media/{i}.wav", 0.4, i)
    options: dict[str, Any] = {"space": tiny_space_folder, "machine": Machine(workers=0)}
    kinds = [
        tuple(sorted(bench(tmp_path / "media", files=6, seed=seed, **options).measured.items()))
        for seed in (0, 0, 1, 2, 3)
    ]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) > 1
    assert all(sum(dict(each).values()) == 6 for each in kinds)


def test_the_threads_of_the_caller_are_as_before(library: Path, tiny_space_folder: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        bench(library, space=tiny_space_folder, files=4, machine=Machine(workers=0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_one_file_is_enough(tiny_space_folder: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "media/a.png", 1)
    measured = bench(tmp_path / "media", space=tiny_space_folder, machine=Machine(workers=0))
    assert (measured.files, measured.measured, measured.failed) == (1, Counter(image=1), 0)
    assert "1 files found; measured on 1 image; 0 failed" in str(measured)


def test_a_manifest_is_measured_as_it_says(tiny_space_folder: Path, tmp_path: Path) -> None:
    for i in range(3):
        write_picture(tmp_path / f"media/{i}.png", i)
        write_sound(tmp_path / f"media/{i}.wav", 0.4, i)
    rows = ["image,audio,label", *(f"media/{i}.png,media/{i}.wav,x" for i in range(3))]
    (tmp_path / "all.csv").write_text("\n".join([*rows, "media/gone.png,media/0.png,y"]) + "\n")
    options: dict[str, Any] = {"space": tiny_space_folder, "machine": Machine(workers=0)}
    measured = bench(tmp_path / "all.csv", **options)
    assert measured.measured["image"] == 3
    assert measured.measured["audio"] >= 3
    assert measured.run_seconds > 0


def test_mistakes_are_named(
    library: Path, tiny_space_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["bench", str(library), "--space", str(tiny_space_folder)]
    assert main([*words, "--files", "0"]) == 2
    assert capsys.readouterr().err == "mmembed: error: --files 0: must be at least 1\n"
    with pytest.raises(ConfigError, match="^files=0: must be at least 1$"):
        bench(library, space=tiny_space_folder, files=0)
    write_picture(tmp_path / "a.png", 1)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ManifestError, match="none of 1 files can be embedded"):
        bench(tmp_path, space=tiny_space_folder)


@given(
    st.fixed_dictionaries({step: st.floats(1e-6, 10) for step in STEPS}),
    st.integers(1, 256),
    st.floats(1e-6, 10),
)
def test_shares_add_up_and_the_bottleneck_is_the_largest(
    seconds: dict[str, float], cores: int, run: float
) -> None:
    measured = BenchReport(100, Counter(image=10, audio=2), 3, cores, seconds, run)
    for step in STEPS:
        divided = step in ("decode", "transform")
        assert measured.shares[step] == pytest.approx(seconds[step] / (cores if divided else 1))
        assert measured.shares[step] <= measured.shares[measured.bottleneck]
    assert measured.seconds == seconds
    lines = str(measured).splitlines()
    assert lines[0] == "100 files found; measured on 2 audio, 10 image; 3 failed"
    assert len(lines) == len(STEPS) + 4
    shown = [float(line.split("%")[0].split()[-1]) for line in lines[2 : 2 + len(STEPS)]]
    assert sum(shown) == pytest.approx(100, abs=len(STEPS) / 2)
    assert lines[-1] == f"bottleneck: {measured.bottleneck}: {ADVICE[measured.bottleneck]}"


@pytest.mark.parametrize("step", STEPS)
def test_each_step_has_its_own_advice(step: str) -> None:
    said = str(report(**{step: 100.0}))
    assert f"bottleneck: {step}: {ADVICE[step]}" in said
    assert len({*ADVICE.values()}) == len(ADVICE) == len(STEPS)


def test_more_cores_raise_the_limit_only_as_far_as_the_model_goes() -> None:
    seconds = dict.fromkeys(STEPS, 0.01)
    limits = [BenchReport(1, Counter(), 0, cores, seconds).limit for cores in (1, 2, 4, 10**6)]
    assert limits == sorted(limits)
    assert limits[-1] == pytest.approx(100, rel=1e-3)


def test_a_manifest_is_measured_as_a_folder_is(tmp_path: Path, tiny_space_folder: Path) -> None:
    write_picture(tmp_path / "a.png", 1)
    write_sound(tmp_path / "b.wav", 0.5, 1)
    write_clip(tmp_path / "c.mp4", 0.5, 1)
    manifest = tmp_path / "list.csv"
    manifest.write_text("image,audio,video,label\na.png,b.wav,c.mp4,x\ngone.png,,,y\n")
    measured = bench(manifest, space=tiny_space_folder, machine=Machine(workers=0))
    assert measured.measured == {"image": 1, "audio": 1, "video": 1}
    assert (measured.files, measured.failed) == (3, 0)  # what is not there can't be measured


def test_the_draw_is_the_same_for_the_same_seed(
    library: Path, tiny_space_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.jobs import bench as module

    drawn: list[list[str]] = []
    decoded = module._decoded

    def noted(sample: list, *rest: object) -> object:
        drawn.append([file.path for file in sample])
        return decoded(sample, *rest)

    monkeypatch.setattr(module, "_decoded", noted)
    for seed in (0, 0, 1):
        bench(library, space=tiny_space_folder, files=8, seed=seed, machine=Machine(workers=0))
    assert drawn[0] == drawn[1] != drawn[2]
    assert [len(paths) for paths in drawn] == [8, 8, 8]


def test_what_it_writes_to_measure_is_removed(
    library: Path, tiny_space_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench(library, space=tiny_space_folder, files=4, machine=Machine(workers=0))
    assert list(tmp_path.iterdir()) == []
