"""A small folder of real media, and a way to look at what came of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from mmembed import embed
from tests.media.conftest import (  # noqa: F401
    encode_sound,
    encode_video,
    numbered,
    numbers,
    pcm,
    picture,
    png_chunk,
    tone,
)


def write_picture(path: Path, seed: int, size: tuple[int, int] = (40, 31)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def write_sound(path: Path, seconds: float, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, round(8000 * seconds))
    soundfile.write(path, noise, 8000)


def write_clip(path: Path, seconds: float, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(round(10 * seconds)):
            pixels = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")):
                out.mux(packet)
        out.mux(stream.encode())


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only folder: 21 pictures, sounds and clips, and five files that are none."""
    folder = tmp_path_factory.mktemp("library")
    for i in range(11):
        write_picture(folder / f"photos/{i:02}.png", i, (20 + i, 31))
    for i, seconds in enumerate((0.3, 0.3, 0.8, 1.1, 1.7, 5.0)):
        write_sound(folder / f"sounds/{i}.wav", seconds, i)
    for i, seconds in enumerate((0.5, 1.0, 4.5)):
        write_clip(folder / f"clips/deep/{i}.mp4", seconds, i)
    (folder / "photos/named.wav").write_bytes((folder / "photos/00.png").read_bytes())
    (folder / "notes.txt").write_text("no medium that the space knows")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "photos/torn.png").write_bytes((folder / "photos/01.png").read_bytes()[:300])
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 8)
    (folder / "nothing.png").symlink_to(folder / "gone.png")
    (folder / ".hidden.png").write_bytes((folder / "photos/00.png").read_bytes())
    (folder / ".git").mkdir()
    (folder / ".git/object.png").write_bytes((folder / "photos/00.png").read_bytes())
    return folder


class Blindness:
    """Folders that can't be listed and files that can't be looked at, whoever runs the test.

    ``os.scandir`` and ``os.stat`` fail for the paths in ``hidden``, with ``error``.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hidden: set[Path] = set()
        self.error = errno.EACCES
        self.midway: set[Path] = set()
        scandir, stat = os.scandir, os.stat

        def refuse(path: Any) -> None:
            if isinstance(path, (str, Path)) and Path(path) in self.hidden:
                raise OSError(self.error, os.strerror(self.error), str(path))

        def scandir_or_not(path: Any = ".") -> Any:
            refuse(path)
            if isinstance(path, (str, Path)) and Path(path) in self.midway:
                return self._torn(list(scandir(path)))
            return scandir(path)

        def stat_or_not(path: Any, **how: Any) -> os.stat_result:
            refuse(path)
            return stat(path, **how)

        monkeypatch.setattr(os, "scandir", scandir_or_not)
        monkeypatch.setattr(os, "stat", stat_or_not)

    def _torn(self, entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        yield from entries[: len(entries) // 2]
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


@pytest.fixture
def blindness(monkeypatch: pytest.MonkeyPatch) -> Blindness:
    return Blindness(monkeypatch)


@pytest.fixture
def run(tiny_space_folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """Embed a manifest into ``out``."""

    def go(source: Path, **options: Any) -> Any:
        out = options.pop("out", tmp_path / "out")
        return embed(source, out, space=tiny_space_folder, **{"workers": 0, **options})

    return go
