"""Fixtures of all tests: a tiny random space, and real media made on the spot."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from mmembed.encoders import AudioEncoder, ImageEncoder, VideoEncoder
from mmembed.encoders.spectrogram import Spectrogram
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from mmembed.space.space import Space


def tiny_encoders(pooling: str = "attention") -> dict[str, torch.nn.Module]:
    """Random encoders of all three media, small enough for a test."""

    def vit() -> ImageEncoder:
        return ImageEncoder(
            "vit_tiny_patch16_224",
            model_args={"patch_size": 7, "embed_dim": 32, "depth": 1, "num_heads": 2},
            preprocess=ImagePreprocess(size=28),
        )

    sound = AudioPreprocess(
        sample_rate=8000,
        segment_seconds=2.0,
        hop_seconds=2.0,
        min_seconds=0.25,
        bucket_seconds=0.5,
    )
    clip = VideoPreprocess(frames=4, segment_seconds=2.0, hop_seconds=2.0, min_seconds=0.25)
    return {
        "image": vit(),
        "audio": AudioEncoder(
            "test_resnet", preprocess=sound, spectrogram=Spectrogram(mels=32), pooling=pooling
        ),
        "video": VideoEncoder(vit(), pooling=pooling, preprocess=clip),
    }


def default_signals() -> None:
    """Handle signals as in a foreground shell: a ``preexec_fn`` of a process that gets some.

    A background shell starts its jobs with SIGINT ignored, and ``nohup`` with SIGHUP; whoever
    they start inherits that, Python included.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def tiny_space() -> Space:
    """A random space of image, audio and video in 16 dimensions; do not train it."""
    torch.manual_seed(7)
    return Space(tiny_encoders(), dim=16, name="tiny").eval()


@pytest.fixture(scope="session")
def tiny_space_folder(tiny_space: Space, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny space, saved."""
    return tiny_space.save(tmp_path_factory.mktemp("space"))


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved space of pictures alone: quick to load."""
    torch.manual_seed(1)
    space = Space({"image": tiny_encoders()["image"]}, dim=4, hidden=8, name="eyes")
    return space.save(tmp_path_factory.mktemp("eyes"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(0)
