"""Files that were remuxed, cut and joined at random give what a plain decode of all gives."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.media.audio import decode_audio, decode_spans
from mmembed.media.probe import probe
from mmembed.media.spans import Span, cut, uniform_times
from mmembed.media.video import decode_clips, decode_video

RATE, FPS, PACKET = 16000, 25, 188
Make = Callable[..., Any]


class Sources(list[bytes]):
    """Media files, of which a failing example shows no more than how many there are."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


@pytest.fixture(scope="module")
def sources(encode_video: Make, numbered: Make, tone: Make) -> Sources:
    """Transport streams of numbered pictures and a sweep, with groups of several lengths."""
    kinds = (
        ("libx264", {"g": "9", "bf": "2"}, numbered(70)),
        ("libx264", {"g": "250", "bf": "0"}, numbered(75)[20:]),
        ("mpeg2video", {"g": "12", "bf": "2", "b": "4M"}, numbered(60)[10:]),
    )
    return Sources(
        encode_video(frames, codec, "mpegts", options=options, sound=tone(len(frames) / FPS))
        for codec, options, frames in kinds
    )


def plain(data: bytes) -> list[np.ndarray]:
    """Every frame that FFmpeg gives, in order."""
    with av.open(io.BytesIO(data), format="mpegts") as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        frames = []
        for packet in container.demux(stream):
            try:
                frames += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
            except av.FFmpegError:
                continue
        return frames


edits = st.lists(
    st.tuples(st.integers(0, 2), st.floats(0, 0.4), st.floats(0.75, 1.0)), min_size=1, max_size=3
)


@settings(max_examples=30, deadline=None)
@given(edits=edits, draw=st.data())
def test_any_time_of_an_edited_file_shows_what_a_plain_decode_shows(
    edits: list[tuple[int, float, float]], draw: st.DataObject, sources: Sources, numbers: Make
) -> None:
    number, begin, end = edits[0]
    packets = len(sources[number]) // PACKET
    head = sources[number][: 3 * PACKET]  # the tables that say what the streams are
    data = head + sources[number][round(begin * packets) * PACKET : round(end * packets) * PACKET]
    frames = plain(data)
    if not frames:
        return
    expected = numbers(np.stack(frames))
    info = probe(data)
    assert info.duration_seconds is not None
    shown = info.duration_seconds - info.begin_seconds
    assert shown == pytest.approx(len(frames) / FPS, abs=3.1 / FPS)
    places = sorted(draw.draw(st.sets(st.integers(0, len(frames) - 1), min_size=1, max_size=6)))
    times = [info.begin_seconds + (place + 0.5) / FPS for place in places]
    got = numbers(decode_video(data, times, allow_truncated=True).frames)
    # frames that a cut left out are a hole in time, not in the order of what is shown
    assert got == [expected[place] for place in places] or shown * FPS > len(frames) + 0.5


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 2), length=st.floats(0.3, 2.0), overlap=st.floats(0, 0.9))
def test_spans_in_one_pass_are_those_decoded_alone(
    number: int, length: float, overlap: float, sources: Sources
) -> None:
    data = 2 * sources[number]
    info = probe(data)
    assert info.sound_seconds is not None
    assert info.duration_seconds is not None
    hop = length * (1 - overlap)
    spans = cut(info.sound_seconds, length, hop, 0.1)
    whole = decode_audio(data).samples
    for span, piece in zip(spans, decode_spans(data, spans), strict=True):
        first, last = round(span.start_seconds * RATE), round(span.end_seconds * RATE)
        assert np.array_equal(piece.samples, whole[:, first:last])
    clips = cut(info.duration_seconds, length, hop, 0.1)
    times = [uniform_times(span, 3) for span in clips]
    for wanted, clip in zip(times, decode_clips(data, times), strict=True):
        alone = decode_video(data, wanted)
        assert np.array_equal(clip.frames, alone.frames)
        assert np.array_equal(clip.pts_seconds, alone.pts_seconds)


@settings(max_examples=15, deadline=None)
@given(parts=st.lists(st.integers(0, 1), min_size=1, max_size=4))
def test_joined_files_show_all_of_their_parts_in_order(
    parts: list[int], sources: Sources, numbers: Make
) -> None:
    data = b"".join(sources[part] for part in parts)
    frames = [number for part in parts for number in numbers(np.stack(plain(sources[part])))]
    info = probe(data)
    assert info.duration_seconds is not None
    shown = info.duration_seconds - info.begin_seconds
    assert shown == pytest.approx(len(frames) / FPS, abs=0.2 * len(parts))
    times = np.arange(info.begin_seconds + 0.01, info.duration_seconds, 0.02)
    seen = numbers(decode_video(data, list(times)).frames)
    assert _changes(seen) == _changes(frames)


def _changes(shown: list[int]) -> list[int]:
    return [number for number, _ in itertools.groupby(shown)]


def test_a_span_of_a_file_is_the_same_however_it_is_asked_for(sources: Sources) -> None:
    whole = decode_audio(sources[0], sample_rate=8000, channels=1).samples
    for start in (0.0, 0.37, 1.9):
        span = Span(0, start, start + 0.5)
        got = decode_audio(sources[0], span, sample_rate=8000, channels=1).samples
        assert np.abs(got - whole[:, round(start * 8000) :][:, : got.shape[1]]).max() < 1e-5
