"""Real media as in tests/media, and a decoder asked until it has told all of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.media.image import limit_pixels
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from tests.media.conftest import (  # noqa: F401
    encode_sound,
    encode_video,
    faststart,
    numbered,
    numbers,
    pcm,
    picture,
    tone,
)

PICTURES = ImagePreprocess(size=16)
SOUNDS = AudioPreprocess(sample_rate=8000, segment_seconds=1.0, hop_seconds=0.75, min_seconds=0.25)
CLIPS = VideoPreprocess(PICTURES, frames=3, segment_seconds=1.0, hop_seconds=0.75, min_seconds=0.25)
ALL = {"image": PICTURES, "audio": SOUNDS, "video": CLIPS}


def ask(decoder: Decoder, path: str | Path, modality: str | None = None) -> list[Segments]:
    """Ask for a file until all of its spans are dealt with."""
    answers: list[Segments] = []
    first, count = 0, 1
    while first < count:
        (answer,) = decoder([DecodeRequest(str(path), modality, first)])
        assert isinstance(answer, Segments), answer
        assert answer.taken > 0
        answers.append(answer)
        first, count = first + answer.taken, answer.count
    assert first == count
    return answers


def refused(decoder: Decoder, path: str | Path, modality: str | None = None) -> DecodeFailure:
    """Ask for a file that has no values, and return why."""
    (answer,) = decoder([DecodeRequest(str(path), modality)])
    assert isinstance(answer, DecodeFailure), answer
    return answer


@pytest.fixture
def store(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write a file."""

    def write(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.fixture(autouse=True)
def _limit_of_pixels() -> Iterator[Any]:
    """Give Pillow its limit back, which a decoder sets for its process."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    yield limit_pixels
    Image.MAX_IMAGE_PIXELS = before
