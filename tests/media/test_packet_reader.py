"""A packet is gone to only where the container lands on one that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mmembed.media import packet_reader
from mmembed.media.audio import decode_audio, decode_spans
from mmembed.media.file import MediaFile
from mmembed.media.packet_index import packet_index
from mmembed.media.packet_reader import PacketReader
from mmembed.media.spans import Span
from mmembed.media.track_index import TrackIndex
from mmembed.media.video import decode_clips, decode_video

RATE = 16000
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def long_sound(encode_sound: Make, tone: Make) -> bytes:
    """A minute and a half of MP3 that changes its bit rate, without a table of contents."""
    rng = np.random.default_rng(0)
    loud = rng.uniform(-0.9, 0.9, (1, 20 * RATE)).astype(np.float32)
    samples = np.concatenate([loud, tone(70)], axis=1)
    data = encode_sound(samples, "libmp3lame", "mp3", options={"qscale": "2"})
    return bytes(data.replace(b"Info", b"....").replace(b"Xing", b"...."))


@contextmanager
def sound_packets(data: bytes) -> Iterator[tuple[PacketReader, TrackIndex]]:
    with MediaFile(data) as file:
        track = packet_index(file).sound
        assert track is not None
        with PacketReader(file, track) as reader:
            yield reader, track


def test_a_packet_that_was_gone_to_is_the_one_that_was_meant(long_sound: bytes) -> None:
    with sound_packets(long_sound) as (reader, track):
        for number in (0, 3, 700, 705, 2400, 10):
            reader.go_to(number)
            packet = reader.next()
            assert packet is not None
            assert (packet.pos, packet.size) == (track.places[number], track.sizes[number])
            assert reader.number == number + 1


def test_late_spans_of_a_sound_whose_bit_rate_changes_lie_where_they_belong(
    long_sound: bytes,
) -> None:
    whole = decode_audio(long_sound).samples
    for start in (0.0, 12.3, 31.7, 60.01, 88.2):
        got = decode_audio(long_sound, Span(0, start, start + 1.0)).samples
        expected = whole[:, round(start * RATE) : round(start * RATE) + RATE]
        assert np.abs(got - expected).max() < 1e-4, start


def test_a_container_that_lands_elsewhere_is_read_from_its_beginning(
    long_sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = decode_audio(long_sound).samples
    monkeypatch.setattr(TrackIndex, "number_of", lambda self, packet: None)
    reopened = []
    original = packet_reader.open_container
    monkeypatch.setattr(
        packet_reader, "open_container", lambda *a: reopened.append(1) or original(*a)
    )
    got = decode_audio(long_sound, Span(0, 60.0, 61.0)).samples
    assert np.abs(got - whole[:, 60 * RATE : 61 * RATE]).max() < 1e-4
    assert len(reopened) == 2


@pytest.mark.parametrize("container", ["mpegts", "flv", "matroska", "mp4"])
def test_a_key_frame_that_is_none_is_not_believed(
    container: str,
    encode_video: Make,
    numbered: Make,
    numbers: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode_video(numbered(70), container=container, options={"g": "70", "bf": "2"})
    with MediaFile(data) as file:
        track = packet_index(file).pictures
        assert track is not None
        every = np.arange(len(track.stamps))
    original = packet_reader.PacketReader.go_to
    gone = []
    monkeypatch.setattr(
        PacketReader, "go_to", lambda self, number: gone.append(number) or original(self, number)
    )
    monkeypatch.setattr("mmembed.media.video_frames.FrameReader._key_frames", _all_flagged)
    times = [0.5, 1.7, 2.3]
    assert numbers(decode_video(data, times).frames) == [12, 42, 57]
    assert gone[0] > 0
    assert gone[1] == 0
    assert len(gone) == 2
    assert len(every) == 70


def _all_flagged(self: Any, track: TrackIndex) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(track.stamps)
    return np.arange(len(track.stamps))[order], track.stamps[order] - self._origin


def test_all_spans_of_a_file_with_one_key_frame_cost_one_pass(
    encode_video: Make, numbered: Make, numbers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_video(numbered(80) * 4, options={"g": "1000", "bf": "2"})
    read = []
    original = PacketReader.next
    monkeypatch.setattr(PacketReader, "next", lambda self: read.append(1) or original(self))
    times = [[i * 0.5 + 0.1, i * 0.5 + 0.3] for i in range(25)]
    clips = list(decode_clips(data, times))
    assert [numbers(clip.frames) for clip in clips] == [
        [int(time * 25 + 1e-3) % 80 for time in clip] for clip in times
    ]
    assert len(read) <= 80 * 4 + 2
    read.clear()
    sound = encode_video(numbered(10), sound=np.zeros((1, 8 * RATE), np.float32))
    spans = [Span(i, i / 4, i / 4 + 1.0) for i in range(28)]
    assert len(list(decode_spans(sound, spans))) == 28
    assert len(read) <= 8 * RATE / 1024 + 4
