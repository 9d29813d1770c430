"""Media of the tests of embedding, for those of jobs that embed; a dataset whose media move."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmembed.embedding.embed import embed
from tests.embedding.conftest import blindness, library, write_picture

__all__ = ["blindness", "library"]


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for i in range(20):
        write_picture(folder / f"{i % 3}/{i:02}.png", i)
    (folder / "torn.png").write_bytes((folder / "0/00.png").read_bytes()[:200])
    return folder


@pytest.fixture
def out(media: Path, eyes: Path, tmp_path: Path) -> Path:
    embed(media, tmp_path / "out", space=eyes, workers=0, chunk_files=6)
    return tmp_path / "out"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"
