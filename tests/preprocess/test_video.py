"""The frames that a video encoder sees: so many a span, so many a second, or all."""

from __future__ import annotations

import io
import math
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.encoders.description import describe
from mmembed.errors import ConfigError
from mmembed.media.spans import Span, evenly, steady_times
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess

FPS, COUNT = 25, 60


@pytest.fixture(scope="module")
def film() -> bytes:
    """Frames whose brightness is four times their number."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"g": "12", "crf": "10"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(COUNT):
            picture = np.full((32, 32, 3), 4 * number + 10, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return file.getvalue()


def shown(film: bytes, span: Span | None = None, **arguments: Any) -> list[int]:
    preprocess = VideoPreprocess(ImagePreprocess(16), **arguments)
    values = preprocess(preprocess.load(film, span))
    return [round((float(frame.mean()) - 10) / 4) for frame in values]


def test_so_many_frames_of_each_span_lie_in_the_middle_of_equal_parts(film: bytes) -> None:
    assert shown(film, frames=3) == [10, 30, 50]
    assert shown(film, Span(0, 1.0, 2.0), frames=2) == [31, 43]


def test_so_many_frames_a_second_begin_with_the_span(film: bytes) -> None:
    assert shown(film, frames=64, fps=2.0) == [0, 12, 25, 37, 50]
    assert shown(film, Span(1, 0.4, 1.6), frames=64, fps=5.0) == [10, 15, 20, 25, 30, 35]
    assert shown(film, Span(1, 0.4, 0.41), frames=64, fps=1.0) == [10]


def test_all_frames_are_all_that_the_span_begins(film: bytes) -> None:
    assert shown(film, frames=1000, fps="all") == list(range(COUNT))
    assert shown(film, Span(2, 0.39, 0.81), frames=1000, fps="all") == list(range(10, 21))
    assert shown(film, Span(2, 0.41, 0.43), frames=1000, fps="all") == [10]


def test_the_most_frames_lie_evenly_among_all(film: bytes) -> None:
    assert shown(film, frames=4, fps="all") == [7, 22, 37, 52]
    assert shown(film, frames=2, fps=2.0) == [12, 37]


def test_values_are_padded_to_the_frames_or_to_a_multiple_of_eight() -> None:
    assert VideoPreprocess(frames=6).padded_length(4) == 6
    assert [VideoPreprocess(frames=64, fps=1.0).padded_length(n) for n in (1, 8, 9)] == [8, 8, 16]


@pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf])
def test_frames_a_second_must_be_positive(fps: float) -> None:
    with pytest.raises(ConfigError, match="fps .* must be positive, all, or left out"):
        VideoPreprocess(fps=fps)


def test_a_space_of_before_keeps_its_description() -> None:
    assert "fps" not in describe(VideoPreprocess())["init_args"]
    assert describe(VideoPreprocess(fps="all"))["init_args"]["fps"] == "all"


@given(st.integers(1, 10_000), st.integers(1, 500))
def test_evenly_chosen_things_are_in_order_and_centred(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert len(chosen) == min(count, most)
    assert sorted(set(chosen)) == chosen
    assert chosen[0] >= 0
    assert chosen[-1] < count
    assert abs(chosen[0] - (count - 1 - chosen[-1])) <= 1


@given(st.floats(0, 1e4), st.floats(0, 100), st.floats(0.1, 60), st.integers(1, 5000))
def test_steady_times_begin_with_the_span_and_end_in_it(
    start: float, length: float, per_second: float, most: int
) -> None:
    span = Span(0, start, start + length)
    times = steady_times(span, per_second, most)
    assert 1 <= len(times) <= most
    if len(times) < most:
        assert times[0] == start
        assert len(times) == max(1, math.ceil(span.length_seconds * per_second - 1e-6))
    assert times[-1] <= max(start, span.end_seconds)
