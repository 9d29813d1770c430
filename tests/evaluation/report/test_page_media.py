"""Pictures and sounds of the page: of the right span, and never more than the page may hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.report.media_cards import fit, sound_seconds
from mmembed.evaluation.report.thumbnails import Thumbnail, Wanted, smaller, thumbnail

from ..conftest import write_clip
from .pages import data_of, linked, stored


def noise_picture(path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 255, (120, 240, 3), dtype=np.uint8)).save(path)


def noise_sound(path: Path, rng: np.random.Generator) -> None:
    soundfile.write(path, 0.3 * rng.normal(size=16000 * 5), 16000)


def test_a_file_that_is_gone_or_corrupt_has_no_thumbnail(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nonsense" * 9)
    assert thumbnail(Wanted(broken, "picture")) == Thumbnail()
    assert thumbnail(Wanted(tmp_path / "gone.wav", "waveform", sound_seconds=4)) == Thumbnail()
    assert thumbnail(Wanted(broken, "words")) == Thumbnail()


def test_a_moment_shows_its_own_span(tmp_path: Path, rng: np.random.Generator) -> None:
    sound = tmp_path / "a.wav"
    time = np.arange(4 * 16000) / 16000
    soundfile.write(sound, np.sin(2 * np.pi * 300 * time) * (time % 2) / 2, 16000)
    first, second, third = (
        thumbnail(Wanted(sound, "waveform", (s, s + 1.0), 4)) for s in (0.0, 1.0, 2.0)
    )
    assert first.picture != second.picture
    assert first.sound != second.sound
    assert first.picture == third.picture
    clip = tmp_path / "a.mp4"
    write_clip(clip, rng)
    parts = {
        thumbnail(Wanted(clip, "frames", span)).picture for span in (None, (0.0, 0.2), (0.5, 0.8))
    }
    assert len(parts) == 3
    assert "" not in parts


def test_a_reduced_picture_is_smaller_and_still_one(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "a.png"
    noise_picture(path, rng)
    picture = thumbnail(Wanted(path, "picture")).picture
    assert smaller(picture).startswith("data:image/webp;base64,")
    assert len(smaller(picture)) < len(picture) / 2


def test_what_is_least_important_is_reduced_first_and_then_left_out(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "a.png"
    noise_picture(path, rng)
    picture = thumbnail(Wanted(path, "picture")).picture
    made = {i: Thumbnail(picture, "s" * 1000 if i < 10 else "") for i in range(100)}
    made[100] = Thumbnail()
    size = len(picture) + 12
    ample = fit(made, 200 * size)
    assert (len(ample.pictures), len(ample.sounds)) == (100, 10)
    assert (ample.shrunk, ample.dropped, ample.silent) == (0, 0, 0)
    tight = fit(made, 90 * size)
    assert len(tight.pictures) == 100
    assert tight.pictures[0] == picture
    assert tight.pictures[99] == smaller(picture)
    assert 0 < tight.shrunk < 40
    tiny = fit(made, 9000)
    assert list(tiny.sounds) == list(range(4))
    assert tiny.silent == 6
    assert list(tiny.pictures) == list(range(len(tiny.pictures)))
    assert tiny.dropped == 100 - len(tiny.pictures)
    for budget in (200 * size, 90 * size, 9000, 0):
        kept = fit(made, budget)
        total = sum(len(uri) for uri in (*kept.pictures.values(), *kept.sounds.values()))
        assert total <= budget
    assert sound_seconds(10) == 4
    assert sound_seconds(10_000) == 1.5


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 5,000 test items, each with a file that is as hard to compress as any."""
    root, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    kinds: dict[str, tuple[str, Callable[..., Any], int]] = {
        "image": ("png", noise_picture, 2000),
        "audio": ("wav", noise_sound, 2000),
        "video": ("mp4", write_clip, 1000),
    }
    centres = rng.normal(size=(50, 32))
    rows, vectors = [], []
    for modality, (suffix, write, count) in kinds.items():
        sources = [root / f"{modality}-{i}.{suffix}" for i in range(8)]
        for source in sources:
            write(source, rng)
        for i in range(count):
            name = f"{modality}/a/folder/of/some/length/file-number-{i:05d}.{suffix}"
            linked(sources[i % 8], root / name)
            rows.append({"path": name, "modality": modality, "group": f"g{i}", "split": "test"})
            rows[-1]["label"] = f"class {i % 50}"
            vectors.append(centres[i % 50] + 1.5 * rng.normal(size=32))
    page = evaluate(stored(root / "set", rows, np.array(vectors), root), report=root / "r").report
    assert page is not None
    return page.parent


def test_page_of_5000_items_is_under_15_megabytes(large: Path) -> None:
    page = (large / "report.html").read_bytes()
    assert 8e6 < len(page) < 15e6
    media, charts = data_of(large, "media"), data_of(large, "charts")
    assert len(charts["map"]) == 1500
    assert len(media["pictures"]) > 1500
    assert len(media["sounds"]) > 100
    assert b"To keep this page small" in page
