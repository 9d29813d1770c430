"""Folders of any shape are walked to their ends; what can't be walked is one error."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedding.conftest import write_picture
from tests.embedding.test_unseen import Runs


@pytest.fixture
def media(tmp_path: Path) -> Path:
    write_picture(tmp_path / "media/top.png", 1)
    write_picture(tmp_path / "media/a/inner.png", 2)
    return tmp_path / "media"


@pytest.fixture
def runs(media: Path, tiny_space_folder: Path, tmp_path: Path) -> Runs:
    return Runs(media, tmp_path / "out", tiny_space_folder)


def test_links_to_themselves_and_folders_1200_deep_are_walked(runs: Runs, media: Path) -> None:
    (media / "self").symlink_to(media / "self")
    (media / "x").symlink_to(media / "y")
    (media / "y").symlink_to(media / "x")
    deep = media / ("d/" * 1200)
    subprocess.run(["mkdir", "-p", str(deep)], check=True)  # makedirs and rmtree recurse
    try:
        shutil.copy(media / "top.png", deep / "deep.png")
        words = ["embed", str(media), str(runs.out), "--space", str(runs.space), "--workers", "0"]
        done = subprocess.run(
            [sys.executable, "-m", "mmembed", *words], capture_output=True, text=True
        )
    finally:
        subprocess.run(["rm", "-r", str(media / "d")], check=True)
    assert done.returncode == 0, done.stderr
    assert "6 files found: 3 embedded, 3 failed" in done.stdout
    assert "d/" * 1200 + "deep.png" in runs.rows()
    assert {path for path, said in runs.errors().items() if "can't be looked at" in said} == {
        "self",
        "x",
        "y",
    }


def test_a_path_longer_than_the_system_takes_is_one_error(runs: Runs, media: Path) -> None:
    here = os.getcwd()
    os.chdir(media)
    try:
        for _ in range(20):
            os.mkdir("n" * 250)
            os.chdir("n" * 250)
    finally:
        os.chdir(here)
    try:
        summary = runs()
    finally:
        subprocess.run(["rm", "-r", str(media / ("n" * 250))], check=True)
    (error,) = (said for path, said in runs.errors().items() if path.startswith("n"))
    assert error == f"can't be listed: {os.strerror(errno.ENAMETOOLONG)}"
    assert (summary.files, summary.embedded, summary.unseen) == (3, 2, 1)
