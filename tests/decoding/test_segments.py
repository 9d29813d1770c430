"""Answers of a decoder: every request in order, long files in bounded pieces, one opening each."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.media.probe import probe
from mmembed.media.spans import Span
from mmembed.paths import RemotePath, place
from tests.decoding.conftest import ALL, CLIPS, PICTURES, SOUNDS, ask, told
from tests.media.test_file import Vanishing

Make = Callable[..., Any]
Store = Callable[[str, bytes], Path]


def values(answers: list[Segments]) -> dict[tuple[str, int], np.ndarray]:
    """Values by modality and index of the span."""
    return {
        (answer.modality, span.index if span else 0): each
        for answer in answers
        for span, each in zip(answer.spans, answer.values, strict=True)
    }


@pytest.fixture(scope="module")
def talkie(encode_video: Make, numbered: Make, tone: Make) -> bytes:
    """A video of 4 seconds with 3 seconds of sound."""
    return encode_video(numbered(80) + numbered(20), sound=tone(3))


def pictures(store: Store, picture: Make, count: int) -> list[DecodeRequest]:
    names = [f"{i:02}.png" for i in range(count)]
    return [
        DecodeRequest(str(store(name, picture("PNG", Image.new("RGB", (20, 20), (i, 0, 0))))))
        for i, name in enumerate(names)
    ]


def test_each_request_has_its_answer_in_order(store: Store, picture: Make) -> None:
    requests = pictures(store, picture, 5)
    requests.insert(2, DecodeRequest(str(store("broken.png", b"nothing of the kind"))))
    answers = told(Decoder(ALL), requests)
    assert [type(answer) for answer in answers] == [Segments] * 2 + [DecodeFailure] + [Segments] * 3
    reds = [a.values[0][0, 0, 0] for a in answers if isinstance(a, Segments)]
    assert reds == [0, 1, 2, 3, 4]
    for answer in answers:
        if isinstance(answer, Segments):
            assert (answer.modality, answer.count, answer.taken) == ("image", 1, 1)
            assert answer.spans == [None]
            assert answer.size_bytes == 3 * 16 * 16


@pytest.mark.parametrize("room", [1, 767, 768, 769, 2000, 3 * 768, 1 << 20])
def test_a_piece_ends_when_it_is_full_and_the_next_goes_on(
    room: int, store: Store, picture: Make
) -> None:
    pieces = list(Decoder(ALL, send_bytes=room)(pictures(store, picture, 6)))
    fit = max(1, room // 768)
    assert [len(piece) for piece in pieces] == [min(fit, 6 - i) for i in range(0, 6, fit)]
    reds = [a.values[0][0, 0, 0] for p in pieces for a in p if isinstance(a, Segments)]
    assert reds == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("send_bytes", [1, 3000, 20_000, 1 << 20])
@pytest.mark.parametrize("kind", ["video", "sound", "both"])
def test_a_long_file_in_parts_is_the_file_at_once(
    kind: str,
    send_bytes: int,
    store: Store,
    talkie: bytes,
    pcm: Make,
    tone: Make,
) -> None:
    path = store("long", pcm(tone(6.3)) if kind == "sound" else talkie)
    whole = ask(Decoder(ALL, 1 << 30, with_sound=kind == "both"), path)
    parts = ask(Decoder(ALL, send_bytes, with_sound=kind == "both"), path)
    assert len(whole) == (2 if kind == "both" else 1)
    assert len(parts) > len(whole) or send_bytes > 10_000
    at_once, in_parts = values(whole), values(parts)
    assert list(at_once) == list(in_parts)
    assert all(np.array_equal(at_once[key], in_parts[key]) for key in at_once)
    assert {part.count for part in parts} == {len(at_once)}


def test_an_answer_is_not_much_larger_than_it_may_be(store: Store, pcm: Make, tone: Make) -> None:
    path = store("long.wav", pcm(tone(12)))
    span_bytes = 4 * 8000
    for spans in (1, 2, 3):
        for answer in ask(Decoder(ALL, spans * span_bytes), path)[:-1]:
            assert answer.size_bytes == spans * span_bytes


@settings(max_examples=30, deadline=None)
@given(send_bytes=st.integers(1, 400_000))
def test_spans_come_once_in_order_and_cover_the_file_wherever_parts_end(
    send_bytes: int,
    tmp_path_factory: pytest.TempPathFactory,
    pcm: Make,
    tone: Make,
) -> None:
    path = tmp_path_factory.getbasetemp() / "covered.wav"
    if not path.exists():
        path.write_bytes(pcm(tone(7.1)))
    answers = ask(Decoder({"audio": SOUNDS}, send_bytes), path)
    spans = [span for answer in answers for span in answer.spans]
    assert spans == SOUNDS.spans(probe(path))
    for answer in answers:
        assert answer.taken == len(answer.spans) == len(answer.values)
        for span, each in zip(answer.spans, answer.values, strict=True):
            assert span is not None
            assert len(each) == round(span.end_seconds * 8000) - round(span.start_seconds * 8000)


def test_sound_follows_the_pictures_of_a_video_where_it_is_wanted(
    store: Store, talkie: bytes
) -> None:
    path = store("talkie.mp4", talkie)
    info = probe(path)
    assert info.sound_seconds == pytest.approx(3.0, abs=0.1)
    clips, sounds = len(CLIPS.spans(info)), len(SOUNDS.spans(info))
    assert sounds < clips
    mute = ask(Decoder(ALL), path)
    both = ask(Decoder(ALL, with_sound=True), path)
    assert [(a.modality, a.count) for a in mute] == [("video", clips)]
    assert [(a.modality, a.count, a.taken) for a in both] == [
        ("video", clips + sounds, clips),
        ("audio", clips + sounds, sounds),
    ]
    alone = ask(Decoder(ALL), path, "audio")
    assert [a.modality for a in alone] == ["audio"]
    assert all(map(np.array_equal, alone[0].values, both[1].values))


def test_a_manifest_that_says_video_gets_pictures_only(store: Store, talkie: bytes) -> None:
    path = store("talkie.mp4", talkie)
    answers = ask(Decoder(ALL, with_sound=True), path, "video")
    assert {answer.modality for answer in answers} == {"video"}


def test_a_video_without_sound_has_its_pictures(
    store: Store, encode_video: Make, numbered: Make
) -> None:
    path = store("mute.mp4", encode_video(numbered(30)))
    answers = ask(Decoder(ALL, with_sound=True), path)
    assert [answer.modality for answer in answers] == ["video"]


@pytest.mark.parametrize("kind", ["picture", "sound", "video"])
def test_a_worker_opens_each_file_once(
    kind: str,
    store: Store,
    talkie: bytes,
    pcm: Make,
    tone: Make,
    picture: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = {
        "picture": picture("PNG", Image.new("RGB", (9, 9))),
        "sound": pcm(tone(5)),
        "video": talkie,
    }[kind]
    path = store("file", data)
    (expected,) = told(Decoder(ALL, 1 << 30), [DecodeRequest(str(path))])
    assert isinstance(expected, Segments)
    monkeypatch.setattr(io, "FileIO", Vanishing)
    (answer,) = told(Decoder(ALL, 1 << 30), [DecodeRequest(str(path))])
    assert not path.exists()
    assert isinstance(answer, Segments), answer
    assert answer.spans == expected.spans
    assert all(map(np.array_equal, answer.values, expected.values))


def test_a_file_at_a_url_is_what_it_is_on_disk(store: Store, talkie: bytes) -> None:
    fsspec.filesystem("memory").pipe("/decoding/talkie.mp4", talkie)
    url = place("memory://decoding/talkie.mp4")
    assert isinstance(url, RemotePath)
    path = store("talkie.mp4", talkie)
    decoder = Decoder(ALL, 1 << 30)
    (there,) = told(decoder, [DecodeRequest(url)])
    (here,) = told(decoder, [DecodeRequest(str(path))])
    assert isinstance(there, Segments)
    assert isinstance(here, Segments)
    assert there.spans == here.spans
    assert all(map(np.array_equal, there.values, here.values))


def test_a_file_that_is_cut_nowhere_is_one_span(store: Store, pcm: Make, tone: Make) -> None:
    path = store("short.wav", pcm(tone(0.4)))
    (answer,) = ask(Decoder(ALL), path)
    assert answer.spans == [Span(0, 0.0, 0.4)]
    assert answer.values[0].shape == (3200,)
    assert PICTURES.spans(probe(path)) == [None]
