"""The user's own shares add up, name the bottleneck, and leave nothing behind."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.cli.commands import main
from mmembed.embedding.settings import Machine
from mmembed.errors import ConfigError, ManifestError
from mmembed.jobs.bench import ADVICE, STEPS, BenchReport, bench
from tests.embedding.conftest import write_clip, write_picture, write_sound


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
    assert (measured.found, measured.failed) == (3, 0)  # what is not there can't be measured


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
