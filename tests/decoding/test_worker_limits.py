"""A decode worker answers for every file that it began: with its values, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from tests.embedding.conftest import write_clip, write_picture, write_sound

ALL: dict[str, Any] = {
    "image": ImagePreprocess(size=16),
    "audio": AudioPreprocess(8000, segment_seconds=1.0, hop_seconds=1.0, min_seconds=0.25),
    "video": VideoPreprocess(ImagePreprocess(size=16), frames=2),
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_picture(folder / "a.png", 1, (50, 41))
    write_sound(folder / "three.wav", 3.0, 1)
    write_sound(folder / "torn.wav", 3.0, 2)
    torn = (folder / "torn.wav").read_bytes()
    (folder / "torn.wav").write_bytes(torn[: len(torn) // 2])
    write_clip(folder / "clip.mp4", 1.0, 1)
    (folder / "words.txt").write_text("just some words")
    return folder


def problem(decoder: Decoder, path: Path, modality: str | None = None) -> DecodeFailure:
    (answer,) = decoder([DecodeRequest(str(path), modality)])
    assert isinstance(answer, DecodeFailure)
    return answer


def piece(decoder: Decoder, path: Path, modality: str | None = None, first: int = 0) -> Segments:
    (answer,) = decoder([DecodeRequest(str(path), modality, first)])
    assert isinstance(answer, Segments), answer
    return answer


def test_a_limit_that_is_passed_is_named_and_reached_is_fine(media: Path) -> None:
    refused = problem(Decoder(ALL, max_pixels=2049), media / "a.png")
    assert refused.message.startswith("has 50 × 41 pixels, more than 2049.")
    assert (refused.stage, refused.modality, refused.advice) == ("probe", "image", "max_pixels")
    assert len(piece(Decoder(ALL, max_pixels=2050), media / "a.png").values) == 1
    refused = problem(Decoder(ALL, max_seconds=2.9), media / "three.wav")
    assert refused.message.startswith("lasts 3 s, more than 3 s. Cut it")
    assert (refused.stage, refused.modality, refused.advice) == ("probe", "audio", "max_duration")
    assert piece(Decoder(ALL, max_seconds=3.0), media / "three.wav").count == 3


def test_a_file_that_stops_early_is_allowed_only_if_asked(media: Path) -> None:
    refused = problem(Decoder(ALL), media / "torn.wav")
    assert refused.message.endswith("Re-encode it, or allow truncated files.")
    assert (refused.stage, refused.advice) == ("decode", "allow_truncated")
    taken = piece(Decoder(ALL, allow_truncated=True), media / "torn.wav")
    assert taken.truncated
    assert taken.taken == taken.count
    assert [span.end_seconds for span in taken.spans if span] == pytest.approx([1.0, 1.5], abs=0.01)


@pytest.mark.parametrize(
    ("name", "modality", "says"),
    [
        ("a.png", "audio", "is image by its content, but the manifest says audio"),
        ("clip.mp4", "audio", "is video by its content, but the manifest says audio"),
        ("three.wav", "text", "is text; only image, audio, video is embedded here"),
        ("words.txt", None, "is text; only image, audio, video is embedded here"),
        ("gone.png", None, "No such file"),
    ],
)
def test_what_can_t_be_embedded_so_is_a_problem(
    media: Path, name: str, modality: str | None, says: str
) -> None:
    refused = problem(Decoder(ALL), media / name, modality)
    assert says.lower() in refused.message.lower()
    assert refused.stage == "probe"


def test_what_the_space_does_not_take_is_a_problem(media: Path) -> None:
    refused = problem(Decoder({"image": ALL["image"]}), media / "three.wav")
    assert refused.message == "is audio; only image is embedded here"
    assert refused.modality == "audio"


def test_pieces_go_on_where_the_last_one_ended(media: Path) -> None:
    whole = piece(Decoder(ALL), media / "three.wav")
    bit_by_bit: list[np.ndarray] = []
    while len(bit_by_bit) < whole.count:
        step = piece(Decoder(ALL, send_bytes=1), media / "three.wav", first=len(bit_by_bit))
        assert step.taken == len(step.values) >= 1
        bit_by_bit += step.values
    assert np.abs(np.stack(bit_by_bit) - np.stack(whole.values)).max() < 1e-5
    (late,) = Decoder(ALL)([DecodeRequest(str(media / "three.wav"), None, whole.count)])
    assert isinstance(late, DecodeFailure)
    assert late.message == "changed while it was being read. Run again."


def test_files_beyond_what_may_be_sent_are_left_for_another_time(media: Path) -> None:
    requests = [DecodeRequest(str(media / "a.png"))] * 5
    one = piece(Decoder(ALL), media / "a.png").size_bytes
    assert len(Decoder(ALL, send_bytes=2 * one)(requests)) == 2
    assert len(Decoder(ALL, send_bytes=1)(requests)) == 1
    assert len(Decoder(ALL)(requests)) == 5


@dataclass(frozen=True)
class Failing(ImagePreprocess):
    """Raises what its test asks for."""

    error: type[Exception] = ValueError
    text: str = ""

    def __call__(self, media: np.ndarray) -> np.ndarray:
        raise self.error(self.text)


@pytest.mark.parametrize(
    ("error", "text", "message", "advice"),
    [
        (ZeroDivisionError, "a bug", "a bug", ""),
        (ValueError, "", "no message", ""),
        (MemoryError, "", "needs more memory than a decode worker may take.", "memory_mb"),
    ],
)
def test_a_mistake_of_a_preprocess_costs_the_file_only(
    media: Path, error: type[Exception], text: str, message: str, advice: str
) -> None:
    decoder = Decoder({**ALL, "image": Failing(size=16, error=error, text=text)})
    answers = decoder(
        [DecodeRequest(str(media / "a.png")), DecodeRequest(str(media / "three.wav"))]
    )
    failed, whole = answers
    assert isinstance(failed, DecodeFailure)
    assert isinstance(whole, Segments)
    assert failed.message.startswith(message)
    assert (failed.stage, failed.error, failed.advice) == ("decode", error.__name__, advice)
