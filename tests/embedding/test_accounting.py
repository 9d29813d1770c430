"""More than 200 bad files: the run ends well, each is accounted for, and costs only itself."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.encoders import ImageEncoder
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_clip, write_picture, write_sound
from tests.embedding.corpus import make_corpus
from tests.embedding.faulty_preprocess import FaultyPreprocess


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str], set[str]]:
    folder = tmp_path_factory.mktemp("corpus")
    return folder, *make_corpus(folder)


@pytest.mark.parametrize("workers", [2, 0])
def test_every_bad_file_has_an_error_or_rows_and_no_good_one_suffers(
    corpus: tuple[Path, set[str], set[str]],
    workers: int,
    tiny_space_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    folder, files, good = corpus
    assert len(files - good) > 200
    words = ["embed", str(folder), str(tmp_path), "--space", str(tiny_space_folder)]
    assert main([*words, "--workers", str(workers), "--timeout", "30s"]) == 0
    table, errors = EmbeddingTable.open(tmp_path), read_errors(tmp_path)
    rows, failed = set(table.column("path")), errors["path"].to_pylist()
    assert Counter(failed).most_common(1)[0][1] == 1
    assert not rows & set(failed)
    assert rows | set(failed) == files
    assert good <= rows, {r["path"]: r["message"] for r in errors.to_pylist() if r["path"] in good}
    assert np.isfinite(table.vectors).all()
    assert f"{len(files)} files found" in capsys.readouterr().out
    for row in errors.to_pylist():
        assert row["stage"] in ("list", "probe", "decode", "encode")
        assert row["error"]
        assert len(row["message"].split()) > 1, row
        assert row["attempts"] >= 1
    said = {row["path"]: row["message"] for row in errors.to_pylist()}
    assert "is not a regular file" in said["short/pipe.png"]
    assert "is a link to nothing" in said["short/nothing.png"]
    assert "is a link to a folder above it" in said["short/circle"]
    assert "pixels" in said["bombs/square.png"]
    assert "NaN or infinite" in said["numbers/nan.wav"]
    assert "is empty" in said["empty/mp4.mp4"]
    assert "stops after" in said["cut/wav-0.5.wav"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_an_error(tiny_space_folder: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "media/a.png", 1)
    write_picture(tmp_path / "media/b.png", 1)
    (tmp_path / "media/b.png").chmod(0)
    embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, workers=0)
    (row,) = read_errors(tmp_path / "out").to_pylist()
    assert (row["path"], "ermission" in row["message"]) == ("b.png", True)


@pytest.fixture
def faulty_space(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    args = {"patch_size": 14, "embed_dim": 32, "depth": 1, "num_heads": 2}
    encoder = ImageEncoder("vit_tiny_patch16_224", False, args, FaultyPreprocess(size=28))
    return Space({"image": encoder}, dim=4).save(tmp_path / "space")


def test_a_decoder_that_wants_too_much_memory_costs_its_file(
    faulty_space: Path, tmp_path: Path
) -> None:
    for name in ("a", "greedy", "b"):
        write_picture(tmp_path / f"media/{name}.png", 1)
    options = {"workers": 1, "memory_mb": 1024, "trust": "tests"}
    embed(tmp_path / "media", tmp_path / "out", space=faulty_space, **options)
    (row,) = read_errors(tmp_path / "out").to_pylist()
    assert (row["path"], row["stage"], row["error"]) == ("greedy.png", "decode", "MemoryError")
    assert "Raise that limit" in row["message"]
    assert list(EmbeddingTable.open(tmp_path / "out").column("path")) == ["a.png", "b.png"]


def test_limits_of_pixels_and_length_name_their_option(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "media/small.png", 1, (20, 20))
    write_picture(tmp_path / "media/large.png", 1, (50, 41))
    write_sound(tmp_path / "media/long.wav", 3.0, 1)
    write_clip(tmp_path / "media/clip.mp4", 1.0, 1)
    options = {"workers": 0, "max_pixels": 2000, "max_duration": "2s"}
    embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, **options)
    said = {row["path"]: row["message"] for row in read_errors(tmp_path / "out").to_pylist()}
    assert set(said) == {"large.png", "long.wav"}
    assert "pixels" in said["large.png"]
    assert said["large.png"].endswith("or raise the limit of pixels.")
    assert said["long.wav"] == "lasts 3 s, more than 2 s. Cut it, or raise the limit of length."
    options = {"workers": 0, "max_pixels": 2050}
    embed(tmp_path / "media", tmp_path / "all", space=tiny_space_folder, **options)
    assert len(read_errors(tmp_path / "all")) == 0
