"""A small folder of media and a config that trains on it in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image


def silent_trainer(max_epochs: int, **more: Any) -> pl.Trainer:
    """A trainer on the CPU that shows, logs and keeps nothing."""
    return pl.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **more,
    )


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures with their sounds, in two class folders."""
    root, rng = tmp_path_factory.mktemp("media"), np.random.default_rng(0)
    for i in range(24):
        folder = root / f"class{i % 2}"
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 128, (16, 16, 3), dtype=np.uint8) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        tone = np.sin(np.arange(2000 + 150 * i) * (0.2 + i % 2)) + rng.normal(
            0, 0.1, 2000 + 150 * i
        )
        soundfile.write(folder / f"{i}.wav", 0.5 * tone, 4000)
    return root


@pytest.fixture
def config(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The keys of a small run, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    vit = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    image = {"model_args": vit, "preprocess": {"size": 16}}
    audio = {
        "model": "test_resnet",
        "spectrogram": {"mels": 16},
        "preprocess": {"sample_rate": 4000, "bucket_seconds": 0.5},
    }
    return {
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "default_root_dir": "run"},
        "save_space": {"folder": "space"},
        "model": {
            "space": {
                "class_path": "Space",
                "init_args": {
                    "dim": 8,
                    "dropout": 0.1,
                    "encoders": {
                        "image": {"class_path": "ImageEncoder", "init_args": image},
                        "audio": {"class_path": "AudioEncoder", "init_args": audio},
                    },
                },
            },
        },
        "data": {"manifest": str(media), "batch_size": 6, "val_fraction": 0.25},
    }


@pytest.fixture
def written(config: dict[str, Any]) -> Callable[..., str]:
    """Write the config to ``fit.yaml`` with some keys changed, and return its name."""

    def write(**changes: Any) -> str:
        for path, value in changes.items():
            place = config
            *parents, last = path.split("__")
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = value
        Path("fit.yaml").write_text(yaml.safe_dump(config))
        return "fit.yaml"

    return write
