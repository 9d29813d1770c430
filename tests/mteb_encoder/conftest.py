"""Real pictures, sounds and clips of three classes, as files and as rows of ``datasets``."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image
from torch.utils.data import DataLoader

from mmembed.mteb_encoder import MtebEncoder
from mmembed.space.space import Space

os.environ["HF_HUB_OFFLINE"] = "1"  # read when mteb is imported

CLASSES = 3
COLUMN = {"i": "image", "a": "audio", "v": "video", "t": "text"}  # by mteb's letters


def described(kind: str, category: str, main_score: str) -> Any:
    """A task of mteb as it describes itself, such as of category ``i2a``."""
    import mteb

    return mteb.TaskMetadata(
        name=f"Local{kind}{category}",
        description="made on the spot",
        type=kind,
        category=category,
        modalities=sorted({COLUMN[c] for c in category if c in COLUMN}),
        main_score=main_score,
        dataset={"path": "local", "revision": "1"},
        eval_langs=["eng-Latn"],
    )


def write_picture(path: Path, label: int, rng: np.random.Generator) -> None:
    size = (int(rng.integers(20, 60)), int(rng.integers(20, 60)), 3)
    pixels = rng.integers(0, 200, size)
    pixels[..., label] += int(rng.integers(0, 56))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_sound(path: Path, label: int, rng: np.random.Generator) -> None:
    rate = int(rng.choice([8000, 11025, 44100]))
    time = np.arange(int(rate * rng.uniform(0.3, 2.6))) / rate
    tone = 0.1 * np.sin(2 * np.pi * (300 + 200 * label) * time)
    soundfile.write(path, tone + rng.normal(0, 0.1, len(time)), rate)


def write_clip(path: Path, label: int, rng: np.random.Generator) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for i in range(int(rng.integers(3, 12))):
            pixels = rng.integers(0, 200, (40, 48, 3)).astype(np.uint8)
            pixels[..., label] += 55
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


WRITERS = {
    "image": (write_picture, ("png", "jpg")),
    "audio": (write_sound, ("wav", "flac")),
    "video": (write_clip, ("mp4", "mp4")),
}


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By modality, paths of real media, whose class is their place modulo CLASSES."""
    root, rng = tmp_path_factory.mktemp("media"), np.random.default_rng(4)
    paths: dict[str, list[str]] = {}
    for modality, (write, suffixes) in WRITERS.items():
        paths[modality] = []
        for i in range(15 if modality == "video" else 36):
            path = root / f"{modality}{i:02}.{suffixes[i % 2]}"
            write(path, i % CLASSES, rng)
            paths[modality].append(str(path))
    return paths


@pytest.fixture(scope="session")
def model(tiny_space: Space) -> MtebEncoder:
    """The tiny space, as mteb sees it."""
    return MtebEncoder(tiny_space)


def rows(modality: str, paths: list[str], **columns: Any) -> Any:
    """Return a dataset of files, as one that was downloaded is."""
    import datasets

    features = {"image": datasets.Image, "audio": datasets.Audio, "video": datasets.Video}
    table = datasets.Dataset.from_dict({**columns, modality: paths})
    return table.cast_column(modality, features[modality]())


def loader(dataset: Any, batch_size: int = 4) -> Any:
    """Return batches as mteb makes them, columns of lists."""

    def together(batch: list[dict[str, Any]]) -> dict[str, list[Any]]:
        return {name: [row[name] for row in batch] for name in batch[0]}

    return DataLoader(dataset, batch_size=batch_size, collate_fn=together)


def encoded(model: MtebEncoder, inputs: Any, **options: Any) -> np.ndarray:
    """Ask for vectors as mteb does."""
    task = SimpleNamespace(name="Local")
    return model.encode(inputs, task_metadata=task, hf_split="test", hf_subset="x", **options)
