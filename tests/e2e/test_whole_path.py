"""The whole path as a user types it, from media to a report, and the answers to mistakes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from mmembed.cli.commands import main
from mmembed.space.loading import load_space
from mmembed.store.table import EmbeddingTable, read_errors


def write_clip(path: Path, shade: int) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for i in range(6):
            pixels = np.full((32, 32, 3), (shade, 255 - shade, 20 * i), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")):
                out.mux(packet)
        out.mux(stream.encode())


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty samples of three classes that differ in colour and pitch; some cells are empty."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(30):
        kind = i % 3
        row = {"label": "abc"[kind], "group": str(i), "split": "test" if i >= 21 else "train"}
        if i % 10 != 7:
            shade = rng.integers(0, 40, (24, 30, 3)) + 90 * kind
            Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
            row["image"] = f"{i}.png"
        if i % 10 != 8:
            tone = np.sin(2 * np.pi * (300 + 500 * kind) * np.arange(4000) / 8000)
            soundfile.write(folder / f"{i}.wav", 0.4 * tone + rng.normal(0, 0.02, 4000), 8000)
            row["audio"] = f"{i}.wav"
        if i % 10 != 9:
            write_clip(folder / f"{i}.mp4", 100 * kind)
            row["video"] = f"{i}.mp4"
        rows.append(row)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "audio", "video", "label", "group", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def config_of(media: Path, runs: Path) -> dict:
    vit = {
        "class_path": "ImageEncoder",
        "init_args": {
            "model": "vit_tiny_patch16_224",
            "model_args": {"patch_size": 7, "embed_dim": 32, "depth": 1, "num_heads": 2},
            "preprocess": {"size": 28},
        },
    }
    encoders = {
        "image": vit,
        "audio": {
            "class_path": "AudioEncoder",
            "init_args": {
                "model": "test_resnet",
                "spectrogram": {"mels": 32},
                "preprocess": {"sample_rate": 8000, "bucket_seconds": 0.5},
            },
        },
        "video": {
            "class_path": "VideoEncoder",
            "init_args": {"image": vit, "preprocess": {"frames": 3}},
        },
    }
    space = {"class_path": "Space", "init_args": {"name": "abc", "dim": 16, "encoders": encoders}}
    return {
        "trainer": {"max_epochs": 12, "accelerator": "cpu", "default_root_dir": str(runs / "fit")},
        "save_space": {"folder": str(runs / "space")},
        "model": {"space": space, "loss": "SupervisedContrastive", "learning_rate": 3e-3},
        "data": {"manifest": str(media / "manifest.csv"), "batch_size": 9, "val_fraction": 0.1},
    }


@pytest.fixture(scope="module")
def runs(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three commands, run once."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "config.yaml").write_text(yaml.safe_dump(config_of(media, folder)))
    assert main(["fit", "--config", str(folder / "config.yaml")]) == 0
    embed = ["embed", str(media / "manifest.csv"), str(folder / "embeddings")]
    assert main([*embed, "--space", str(folder / "space"), "--workers", "1"]) == 0
    evaluate = ["evaluate", str(folder / "embeddings"), "--report", str(folder / "report")]
    assert main(evaluate) == 0
    return folder


def test_three_commands_leave_what_the_readme_says(runs: Path) -> None:
    assert sorted(p.name for p in (runs / "space").iterdir()) == ["model.safetensors", "space.json"]
    assert sorted(p.name for p in (runs / "report").iterdir()) == [
        "queries.parquet",
        "report.html",
        "report.json",
        "report.md",
    ]
    assert list((runs / "fit").rglob("config.yaml"))
    assert list((runs / "fit").rglob("*.ckpt"))
    assert list((runs / "fit").rglob("metrics.csv"))


def test_every_cell_of_the_manifest_has_its_row(runs: Path, media: Path) -> None:
    table = EmbeddingTable.open(runs / "embeddings")
    with open(media / "manifest.csv") as file:
        rows = list(csv.DictReader(file))
    cells = {
        (row[m], m, row["label"]) for row in rows for m in ("image", "audio", "video") if row[m]
    }
    columns = zip(*(table.column(n) for n in ("path", "modality", "label")), strict=True)
    assert set(columns) == cells
    assert len(read_errors(runs / "embeddings")) == 0


def test_stored_vectors_are_what_the_space_says(runs: Path, media: Path) -> None:
    table = EmbeddingTable.open(runs / "embeddings")
    space = load_space(runs / "space")
    vectors = space.encode([media / path for path in table.column("path")])
    assert np.abs(vectors - table.vectors).max() <= 1e-6
    assert table.fingerprint == space.fingerprint


def test_training_on_what_differs_is_learned(runs: Path) -> None:
    report = json.loads((runs / "report" / "report.json").read_text())
    directions = {(r["relevance"], r["query"], r["target"]): r for r in report["retrieval"]}
    assert len([d for d in directions if d[0] == "label"]) == 6
    assert directions["label", "image", "audio"]["metrics"]["mAP"] > 0.6
    assert len([d for d in directions if d[0] == "group"]) == 6


def test_embedding_again_has_nothing_to_do(
    runs: Path, media: Path, capsys: pytest.CaptureFixture
) -> None:
    parts = {p: p.stat().st_mtime_ns for p in (runs / "embeddings").glob("part-*")}
    words = ["embed", str(media / "manifest.csv"), str(runs / "embeddings")]
    assert main([*words, "--space", str(runs / "space")]) == 0
    assert "0 embedded, 0 failed, 81 were there already" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in parts} == parts


def test_a_corrupt_file_is_named_at_the_start_and_training_goes_on(
    media: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "media"
    copy.mkdir()
    for path in media.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "4.png").write_bytes(b"this is no picture")
    config = config_of(copy, tmp_path)
    config["trainer"]["max_epochs"] = 1
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.warns(UserWarning, match=r"1 of 81 files can't be read(.|\n)*4\.png"):
        assert main(["fit", "--config", str(tmp_path / "config.yaml")]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["embed", "{nowhere}", "{out}", "--space", "{space}"], "no such folder or manifest"),
        (["embed", "{empty}", "{out}", "--space", "{space}"], "no files in it"),
        (["embed", "{media}", "{out}", "--space", "{empty}"], "has no space.json"),
        (["embed", "{media}", "{out}", "--space", "{old}"], "format 0 is not the format 1"),
        (["embed", "{media}", "{out}", "--spcae", "{space}"], "did you mean"),
        (["embed", "{one}", "{embeddings}", "--space", "{space}"], "holds the vectors of"),
        (["embed", "{manifest}", "{embeddings}", "--space", "{other}"], "made by space abc"),
        (["embed", "{manifest}", "{out}", "--space", "{space}", "--device", "x"], "--device x: "),
        (["evaluate", "{nowhere}"], "no such file or folder"),
        (["evaluate", "{empty}"], "no part-*.parquet in it"),
        (["evaluate", "{mixed}"], "their vectors can't be mixed"),
        (["evaluate", "{embeddings}", "--split", "dev"], "no row is in it"),
        (["evaluate", "{embeddings}", "--media", "{nowhere}"], "no such folder"),
        (["embde"], "did you mean embed?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_and_exit_code_2(
    words: list[str],
    says: str,
    runs: Path,
    media: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    places = {
        "nowhere": tmp_path / "nowhere",
        "empty": tmp_path / "empty",
        "out": tmp_path / "out",
        "old": tmp_path / "old",
        "mixed": tmp_path / "mixed",
        "one": tmp_path / "one",
        "media": media,
        "manifest": media / "manifest.csv",
        "space": runs / "space",
        "other": tiny_space_folder,
        "embeddings": runs / "embeddings",
    }
    for name in ("empty", "old", "mixed", "one"):
        places[name].mkdir()
    (places["one"] / "0.png").write_bytes((media / "0.png").read_bytes())
    card = json.loads((runs / "space" / "space.json").read_text())
    (places["old"] / "space.json").write_text(json.dumps({**card, "format": 0}))
    if "{mixed}" in words:
        other = ["embed", str(places["one"]), str(places["mixed"])]
        assert main([*other, "--space", str(tiny_space_folder), "--workers", "0"]) == 0
        for part in (runs / "embeddings").glob("part-*"):
            (places["mixed"] / part.name).write_bytes(part.read_bytes())
        capsys.readouterr()
    assert main([word.format(**places) for word in words]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("mmembed: error: ")
    assert says in said
    assert len(said.splitlines()) <= 2


def test_the_command_itself_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmembed"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "evaluate" in done.stdout
    done = subprocess.run([*command, "evaluate", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
