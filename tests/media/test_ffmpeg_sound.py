"""Sound lies where its time stamps say, silence where they leave a hole."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from mmembed.media.audio import decode_audio
from mmembed.media.spans import Span

RATE = 16000
Make = Callable[..., Any]


def delayed(data: bytes, from_ms: int, by_ms: int) -> bytes:
    """Move the sound of a Matroska file that lies at or after a time."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="matroska") as output:
        streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                if packet.stream.type == "audio" and packet.pts >= from_ms:
                    packet.pts, packet.dts = packet.pts + by_ms, packet.dts + by_ms
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return file.getvalue()


@pytest.fixture(scope="module")
def talkie(encode_video: Make, numbered: Make, tone: Make) -> bytes:
    """Two seconds of video with as much sound."""
    return encode_video(numbered(50), "libx264", "matroska", options={"bf": "0"}, sound=tone(2))


def test_sound_that_begins_late_is_silent_before(talkie: bytes) -> None:
    plain = decode_audio(talkie).samples[0]
    late = decode_audio(delayed(talkie, 0, 500)).samples[0]
    assert not late[: RATE // 2].any()
    assert np.allclose(late[RATE // 2 :], plain, atol=1e-6)


def test_a_hole_in_the_sound_is_silent_and_moves_nothing(talkie: bytes) -> None:
    plain = decode_audio(talkie).samples[0]
    data = delayed(talkie, 960, 700)
    got = decode_audio(data).samples[0]
    hole, silent = round(0.96 * RATE), round(0.7 * RATE)
    assert np.allclose(got[:hole], plain[:hole], atol=1e-6)
    assert not got[hole : hole + silent].any()
    assert np.allclose(got[hole + silent :], plain[hole:], atol=1e-6)
    for start, end in ((0.5, 1.2), (1.0, 1.5), (1.3, 2.5)):
        part = decode_audio(data, Span(0, start, end)).samples[0]
        assert np.array_equal(part, got[round(start * RATE) : round(end * RATE)])


def test_a_short_jitter_of_time_stamps_leaves_no_hole(talkie: bytes) -> None:
    plain, got = (decode_audio(d).samples for d in (talkie, delayed(talkie, 960, 40)))
    assert np.array_equal(got, plain)
