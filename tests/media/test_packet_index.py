"""The length of a file is that of its packets, on one clock for pictures and sound."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmembed.errors import MediaError
from mmembed.media.audio import decode_audio
from mmembed.media.file import MediaFile
from mmembed.media.packet_index import PacketIndex, packet_index
from mmembed.media.probe import probe
from mmembed.media.video import decode_video

RATE, FPS = 16000, 25
FRAME = 2048 / RATE  # of AAC and MP3 at most
Make = Callable[..., Any]


def index_of(data: bytes) -> PacketIndex:
    with MediaFile(data) as file:
        return packet_index(file)


def spans(data: bytes) -> tuple[tuple[float, float] | None, ...]:
    index = index_of(data)
    return tuple(t and index.span(t) for t in (index.pictures, index.sound))


def remuxed(data: bytes, container: str, late: float = 0) -> bytes:
    """Copy packets to another container, the pictures later by some seconds."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format=container) as output:
        streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video" and late:
                ticks = round(late / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream.index]
            output.mux(packet)
    return file.getvalue()


@pytest.fixture(scope="module")
def talkie(encode_video: Make, numbered: Make, tone: Make) -> bytes:
    """Three seconds of numbered pictures with a key frame each second, and as much sound."""
    return encode_video(numbered(75), options={"g": "25", "bf": "2"}, sound=tone(3))


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "mpegts", "flv"])
def test_every_container_tells_the_same_length(talkie: bytes, container: str) -> None:
    pictures, sound = spans(remuxed(talkie, container))
    assert pictures is not None
    assert sound is not None
    assert pictures[1] - pictures[0] == pytest.approx(3, abs=0.002)
    assert sound[1] - sound[0] == pytest.approx(3, abs=2 * FRAME)
    assert min(pictures[0], sound[0]) == 0


def test_a_bit_rate_that_changes_misleads_nobody(tone: Make, encode_sound: Make) -> None:
    loud = np.random.default_rng(0).uniform(-0.9, 0.9, (1, 2 * RATE)).astype(np.float32)
    samples = np.concatenate([loud, np.zeros((1, 20 * RATE), np.float32)], axis=1)
    for codec, container, options in (
        ("libmp3lame", "mp3", {"qscale": "2"}),
        ("aac", "adts", {"b": "64k"}),
    ):
        data = encode_sound(samples, codec, container, options=options)
        if container == "mp3":
            data = data.replace(b"Info", b"....").replace(b"Xing", b"....")
        assert spans(data)[1] == (0.0, pytest.approx(22, abs=2 * FRAME)), codec
        assert probe(data).declared_seconds is None


def test_garbage_behind_the_sound_is_no_sound(tone: Make, encode_sound: Make) -> None:
    data = encode_sound(tone(4), "libmp3lame", "mp3")
    info = probe(data + bytes(400_000))
    assert info.duration_seconds == pytest.approx(4, abs=2 * FRAME)
    assert info.declared_seconds is None
    assert decode_audio(data + bytes(400_000)).samples.shape[1] == pytest.approx(4 * RATE, abs=4000)


def test_joined_transport_streams_are_as_long_as_both(talkie: bytes, numbers: Make) -> None:
    part = remuxed(talkie, "mpegts")
    pictures, sound = spans(part + part)
    assert pictures is not None
    assert sound is not None
    assert pictures[1] - pictures[0] == pytest.approx(6, abs=0.1)
    assert sound[1] == pytest.approx(pictures[1], abs=0.15)
    times = [pictures[0] + (i + 0.5) / FPS for i in (0, 74, 75, 76, 149)]
    clip = decode_video(part + part, times)
    assert numbers(clip.frames) == [0, 74, 0, 1, 74]
    once, twice = (decode_audio(data).samples[0] for data in (part, part + part))
    again = twice[len(once) - 200 :]
    middle = once[RATE // 2 : 3 * RATE // 2]
    best = max(np.corrcoef(again[i : i + RATE], middle)[0, 1] for i in range(7000, 9000))
    assert best > 0.98


def test_chained_ogg_files_are_as_long_as_all_links(tone: Make, pcm: Make) -> None:
    links = [pcm(tone(2, hertz=[hertz]), "OGG", "VORBIS") for hertz in (300.0, 900.0)]
    data = b"".join(links)
    assert probe(data).duration_seconds == pytest.approx(4, abs=FRAME + 0.01)
    samples = decode_audio(data).samples[0]
    assert len(samples) == pytest.approx(4 * RATE, abs=2100)
    for link, place in zip(links, (0, 2 * RATE), strict=True):
        alone = decode_audio(link).samples[0][RATE // 2 : RATE]
        here = samples[place + RATE // 2 : place + RATE + 2100]
        best = max(np.corrcoef(here[i : i + len(alone)], alone)[0, 1] for i in range(2100))
        assert best > 0.99


def test_a_track_that_is_shorter_has_its_own_length(
    encode_video: Make, numbered: Make, tone: Make
) -> None:
    for pictures, seconds in ((25, 3.0), (75, 1.0)):
        talk = encode_video(numbered(pictures), sound=tone(seconds))
        for container in ("mp4", "matroska", "mpegts", "flv"):
            data = remuxed(talk, container)
            shown, heard = spans(data)
            assert shown is not None
            assert heard is not None
            assert shown[1] - shown[0] == pytest.approx(pictures / FPS, abs=0.05)
            assert heard[1] - heard[0] == pytest.approx(seconds, abs=2 * FRAME)
            assert probe(data).declared_seconds is None, container


def test_pictures_that_begin_late_leave_all_of_the_sound(talkie: bytes, numbers: Make) -> None:
    data = remuxed(talkie, "matroska", late=2.0)
    info = probe(data)
    assert info.begin_seconds == pytest.approx(2, abs=0.1)
    assert info.duration_seconds == pytest.approx(5, abs=0.1)
    assert decode_audio(data).samples.shape[1] == pytest.approx(3 * RATE, abs=2 * FRAME * RATE)
    clip = decode_video(data, [0.0, info.begin_seconds + 1.01])
    assert numbers(clip.frames) == [0, 25]


def test_pictures_before_the_first_key_frame_move_no_clock(talkie: bytes, numbers: Make) -> None:
    whole = remuxed(talkie, "mpegts")
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    cut = b"".join(packets[:3] + packets[20:])
    info, full = probe(cut), probe(whole)
    gone = decode_audio(whole).samples.shape[1] - decode_audio(cut).samples.shape[1]
    assert info.begin_seconds > 0.3  # sound is there before the first picture that can be decoded
    first = numbers(decode_video(cut, [info.begin_seconds + 0.001]).frames)[0]
    assert first in (24, 25)
    shown = first / FPS + full.begin_seconds - gone / RATE
    assert info.begin_seconds == pytest.approx(shown, abs=0.05)


def test_half_a_file_says_what_it_declared(
    talkie: bytes, tone: Make, pcm: Make, faststart: Make, encode_video: Make, numbered: Make
) -> None:
    cases = {
        "mp4": faststart(talkie),
        "flv": remuxed(talkie, "flv"),
        "mkv": remuxed(talkie, "matroska"),
        "avi": encode_video(numbered(75), "mpeg4", "avi", options={"g": "10"}),
    }
    cases |= {name: pcm(tone(3), name) for name in ("WAV", "RF64", "W64", "AIFF", "CAF", "AU")}
    cases["FLAC"] = pcm(tone(3), "FLAC")
    for name, data in cases.items():
        whole, half = probe(data), probe(data[: len(data) * 6 // 10])
        assert whole.declared_seconds is None, name
        assert half.declared_seconds == pytest.approx(3, abs=0.15), name
        assert 0 < (half.duration_seconds or 0) < 2.6, name
        decode = decode_audio if whole.modality == "audio" else decode_video
        times = () if decode is decode_audio else ([2.9],)
        with pytest.raises(MediaError, match=r"stops after [012]\.\d s of [23]\.\d s"):
            decode(data[: len(data) * 6 // 10], *times)
        decode(data[: len(data) * 6 // 10], *times, allow_truncated=True)


def test_a_file_is_indexed_once(talkie: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: opened.append(1) or original(*a, **k))
    with MediaFile(talkie) as file:
        first = packet_index(file)
        assert packet_index(file) is first
        probe(file)
    assert len(opened) == 2  # the index, and the headers that probing asks for


def test_a_sound_track_in_trouble_leaves_the_pictures(
    talkie: bytes, tmp_path: Path, numbers: Make
) -> None:
    with av.open(io.BytesIO(talkie)) as container:
        broken = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(talkie)
    for place, size in broken:
        data[place : place + size] = b"\xff" * size
    info = probe(bytes(data))
    assert info.modality == "video"
    assert not info.has_audio
    assert numbers(decode_video(bytes(data), [1.01]).frames) == [25]
    with pytest.raises(MediaError, match="has no sound that can be decoded"):
        decode_audio(bytes(data))
