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
from tests.decoding.conftest import ask, refused, told
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


def piece(decoder: Decoder, path: Path) -> Segments:
    """The only answer to a request for a file."""
    (answer,) = ask(decoder, path)
    return answer


def test_a_limit_that_is_passed_is_named_and_reached_is_fine(media: Path) -> None:
    said = refused(Decoder(ALL, max_pixels=2049), media / "a.png")
    assert said.message.startswith("has 50 × 41 pixels, more than 2049.")
    assert (said.stage, said.modality, said.advice) == ("probe", "image", "max_pixels")
    assert len(piece(Decoder(ALL, max_pixels=2050), media / "a.png").values) == 1
    said = refused(Decoder(ALL, max_seconds=2.9), media / "three.wav")
    assert said.message.startswith("lasts 3 s, more than 3 s. Cut it")
    assert (said.stage, said.modality, said.advice) == ("probe", "audio", "max_duration")
    assert piece(Decoder(ALL, max_seconds=3.0), media / "three.wav").count == 3


def test_a_file_that_stops_early_is_allowed_only_if_asked(media: Path) -> None:
    said = refused(Decoder(ALL), media / "torn.wav")
    assert said.message.endswith("Re-encode it, or allow truncated files.")
    assert (said.stage, said.advice) == ("decode", "allow_truncated")
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
    said = refused(Decoder(ALL), media / name, modality)
    assert says.lower() in said.message.lower()
    assert said.stage == "probe"


def test_what_the_space_does_not_take_is_a_problem(media: Path) -> None:
    said = refused(Decoder({"image": ALL["image"]}), media / "three.wav")
    assert said.message == "is audio; only image is embedded here"
    assert said.modality == "audio"


def test_pieces_go_on_where_the_last_one_ended(media: Path) -> None:
    whole = piece(Decoder(ALL), media / "three.wav")
    steps = ask(Decoder(ALL, send_bytes=1), media / "three.wav")
    assert [step.taken for step in steps] == [len(step.values) for step in steps] == [1, 1, 1]
    bit_by_bit = [values for step in steps for values in step.values]
    assert np.abs(np.stack(bit_by_bit) - np.stack(whole.values)).max() < 1e-5


def test_what_came_before_is_not_decoded_again(media: Path) -> None:
    whole = piece(Decoder(ALL), media / "three.wav")
    (rest,) = ask(Decoder(ALL), media / "three.wav", first=2)
    assert (rest.spans, rest.count, rest.taken) == (whole.spans[2:], 3, 1)
    assert np.abs(rest.values[0] - whole.values[2]).max() < 1e-5
    (late,) = told(Decoder(ALL), [DecodeRequest(str(media / "three.wav"), None, 3)])
    assert isinstance(late, DecodeFailure)
    assert late.message == "changed while it was being read. Run again."


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
    failed, whole = told(
        decoder, [DecodeRequest(str(media / "a.png")), DecodeRequest(str(media / "three.wav"))]
    )
    assert isinstance(failed, DecodeFailure)
    assert isinstance(whole, Segments)
    assert failed.message.startswith(message)
    assert (failed.stage, failed.error, failed.advice) == ("decode", error.__name__, advice)
