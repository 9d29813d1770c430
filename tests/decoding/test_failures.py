"""A file that has no values says why, in one line, and costs no other file anything."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.media.guarded_pool import GuardedPool
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.task_outcome import Failure
from mmembed.paths import RemotePath, place
from mmembed.preprocess.image import ImagePreprocess
from tests.decoding.conftest import ALL, SOUNDS, ask, refused, told
from tests.embedding.faulty_preprocess import FaultyPreprocess

Make = Callable[..., Any]
Store = Callable[[str, bytes], Path]


def test_a_picture_or_video_of_too_many_pixels_is_refused_unseen(
    store: Store, picture: Make, encode_video: Make, numbered: Make
) -> None:
    image = store("wide.png", picture("PNG", Image.new("RGB", (65, 32))))
    video = store("wide.mp4", encode_video(numbered(10)))
    decoder = Decoder(ALL, max_pixels=64 * 32)
    said = refused(decoder, image)
    assert (said.stage, said.error) == ("probe", "MediaError")
    assert "has more pixels than is safe to decode" in said.message
    ask(decoder, video)  # as many as are allowed
    said = refused(Decoder(ALL, max_pixels=64 * 32 - 1), video)
    assert (said.stage, said.error, said.modality) == ("probe", "MediaError", "video")
    assert said.message == (
        "has 64 × 32 pixels, more than 2047. Scale it down, or raise the limit of pixels."
    )
    ask(Decoder(ALL, max_pixels=65 * 32), image)


def test_sound_that_lasts_too_long_is_refused_undecoded(
    store: Store, pcm: Make, tone: Make
) -> None:
    path = store("long.wav", pcm(tone(3)))
    said = refused(Decoder(ALL, max_seconds=2.5), path)
    assert said.message == "lasts 3 s, more than 2 s. Cut it, or raise the limit of length."
    assert (said.stage, said.modality) == ("probe", "audio")
    ask(Decoder(ALL, max_seconds=3.0), path)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("audio", "is image by its content, but the manifest says audio"),
        ("video", "is image by its content, but the manifest says video"),
        ("text", "is text; only image, audio, video is embedded here"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(
    wanted: str, message: str, store: Store, picture: Make
) -> None:
    path = store("a.png", picture("PNG", Image.new("RGB", (9, 9))))
    said = refused(Decoder(ALL), path, wanted)
    assert (said.message, said.stage, said.modality) == (message, "probe", wanted)


def test_media_that_the_space_has_no_encoder_for_is_refused(
    store: Store, picture: Make, pcm: Make, tone: Make
) -> None:
    path = store("a.png", picture("PNG", Image.new("RGB", (9, 9))))
    said = refused(Decoder({"audio": SOUNDS}), path)
    assert said.message == "is image; only audio is embedded here"


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_sound_that_stops_early_is_refused_or_taken_as_far_as_it_goes(
    kind: str, store: Store, pcm: Make, tone: Make, encode_sound: Make
) -> None:
    data = pcm(tone(6)) if kind == "wav" else encode_sound(tone(6), "libmp3lame", "mp3")
    path = store(f"cut.{kind}", data[: len(data) // 2])
    assert probe(path).declared_seconds == pytest.approx(6, abs=0.2)
    said = refused(Decoder(ALL), path)
    assert (said.stage, said.error, said.modality) == ("decode", "MediaError", "audio")
    assert re.match(r"stops after [23]\.\d s of 6\.\d s", said.message)
    answers = ask(Decoder(ALL, 1, allow_truncated=True), path)
    spans = [span for answer in answers for span in answer.spans if span]
    assert [span.index for span in spans] == list(range(len(spans)))
    assert spans[-1].end_seconds == pytest.approx(3.0, abs=0.15)
    assert spans[-1].length_seconds >= SOUNDS.min_seconds
    assert [answer.truncated for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert answers[0].count == len(SOUNDS.spans(probe(path))) == len(spans)


def test_a_file_that_stops_early_is_cut_by_what_there_is_of_it(
    store: Store, pcm: Make, tone: Make
) -> None:
    data = pcm(tone(6))
    for seconds in (1.6, 1.8, 2.3):
        path = store("cut.wav", data[: 44 + int(seconds * 32000)])
        answers = ask(Decoder(ALL, allow_truncated=True), path)
        spans = [span for answer in answers for span in answer.spans]
        assert spans == SOUNDS.spans(MediaInfo("audio", "wav", duration_seconds=seconds))


def test_a_video_that_stops_early_is_taken_as_far_as_it_goes(
    store: Store, encode_video: Make, numbered: Make, faststart: Make
) -> None:
    data = faststart(encode_video(numbered(80) * 2, options={"g": "10", "bf": "0"}))
    path = store("cut.mp4", data[: len(data) // 2])
    assert refused(Decoder(ALL), path).error == "MediaError"
    (answer,) = ask(Decoder(ALL, allow_truncated=True), path)
    assert answer.truncated
    assert 0 < len(answer.spans) == answer.count == answer.taken
    assert answer.spans[-1].end_seconds == probe(path).duration_seconds


def test_a_file_that_changed_since_its_first_part_is_refused(
    store: Store, pcm: Make, tone: Make
) -> None:
    path = store("a.wav", pcm(tone(3)))
    (answer,) = told(Decoder(ALL), [DecodeRequest(str(path), first=99)])
    assert isinstance(answer, DecodeFailure)
    assert answer.message == "changed while it was being read. Run again."


class NoSpans(ImagePreprocess):
    """A preprocess that finds nothing worth a row."""

    def spans(self, info: Any) -> list[Any]:
        return []


class Greedy(ImagePreprocess):
    """A preprocess that wants more memory than there is."""

    def __call__(self, media: Any) -> Any:
        raise MemoryError


class Silent(ImagePreprocess):
    """A preprocess whose mistakes say nothing."""

    def __call__(self, media: Any) -> Any:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("preprocess", "error", "message"),
    [
        (NoSpans(), "MediaError", "is too short to embed"),
        (
            Greedy(),
            "MemoryError",
            "needs more memory than a decode worker may take. Raise that limit",
        ),
        (Silent(), "ZeroDivisionError", "no message"),
        (FaultyPreprocess(), "TypeError", "a mistake in a preprocess"),
    ],
    ids=["short", "memory", "silent", "mistake"],
)
def test_whatever_goes_wrong_is_the_files_own(
    preprocess: ImagePreprocess, error: str, message: str, store: Store, picture: Make, tone: Make
) -> None:
    path = store("wrong.png", picture("PNG", Image.new("RGB", (9, 9))))
    said = refused(Decoder({"image": preprocess}), path)
    assert (said.stage, said.error, said.modality) == ("decode", error, "image")
    assert said.message.startswith(message)
    assert (said.attempts, said.decoder) == (1, "")


def test_a_file_that_is_gone_or_no_file_says_so(tmp_path: Path) -> None:
    said = refused(Decoder(ALL), tmp_path / "none.png")
    assert (said.stage, said.error) == ("probe", "MediaError")
    assert said.message == "no such file. Check the path."
    assert said.modality is None
    assert "is a folder" in refused(Decoder(ALL), tmp_path).message
    url = place("memory://decoding-failures/none.png")
    assert isinstance(url, RemotePath)
    (there,) = told(Decoder(ALL), [DecodeRequest(url, "image")])
    assert isinstance(there, DecodeFailure)
    assert (there.stage, there.error, there.modality) == ("probe", "FileNotFoundError", "image")


def bomb(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_at_the_limit_asked_for(store: Store) -> None:
    path = store("bomb.png", bomb(3000))
    assert "decompression bomb" in refused(Decoder(ALL, max_pixels=8_000_000), path).message
    said = refused(Decoder(ALL, max_pixels=9_000_000), path)
    assert said.stage == "decode"  # of a size that is allowed, but there is nothing in it


def test_a_crash_and_a_hang_cost_their_own_task_only(store: Store, picture: Make) -> None:
    image = picture("PNG", Image.new("RGB", (9, 9)))
    names = ["a", "crash", "b", "hang", "c"]
    decoder = Decoder({"image": FaultyPreprocess(size=8)})
    outcomes: dict[str, Any] = {}
    with GuardedPool(decoder, workers=1, timeout_seconds=3.0) as pool:
        for name in names:
            pool.submit(name, [DecodeRequest(str(store(f"{name}.png", image)))])
        while pool.in_flight:
            name, outcome = pool.wait()
            outcomes.setdefault(name, outcome)
    assert set(outcomes) == set(names)
    assert outcomes["hang"] == Failure("TimeoutError", "made no progress for 3 s")
    assert isinstance(outcomes["crash"], Failure)
    assert "signal 9" in outcomes["crash"].message
    for name in "abc":
        (answer,) = outcomes[name]
        assert isinstance(answer, Segments)
        assert answer.values[0].shape == (3, 8, 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_says_so(store: Store, picture: Make) -> None:
    path = store("a.png", picture("PNG", Image.new("RGB", (9, 9))))
    path.chmod(0)
    assert "Permission denied" in refused(Decoder(ALL), path).message
