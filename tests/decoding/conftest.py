"""Real media as in tests/media, and the answers of a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mmembed.decoding.messages import Answer, DecodeFailure, DecodeRequest, Segments
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


def told(decoder: Decoder, requests: Sequence[DecodeRequest]) -> list[Answer]:
    """All answers to some requests, of whatever piece."""
    return [answer for piece in decoder(requests) for answer in piece]


def ask(
    decoder: Decoder, path: str | Path, modality: str | None = None, first: int = 0
) -> list[Segments]:
    """The answers to a request for a file, of which all spans are dealt with."""
    answers: list[Segments] = []
    for answer in told(decoder, [DecodeRequest(str(path), modality, first)]):
        assert isinstance(answer, Segments), answer
        assert answer.taken > 0
        answers.append(answer)
    assert first + sum(answer.taken for answer in answers) == answers[0].count
    return answers


def refused(decoder: Decoder, path: str | Path, modality: str | None = None) -> DecodeFailure:
    """Ask for a file that has no values, and return why."""
    *_, answer = told(decoder, [DecodeRequest(str(path), modality)])
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
