"""Files of any length are cut into spans that cover all of it; frames stand at uniform times."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ConfigError
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.spans import Span
from mmembed.media.video import Clip
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.spanned import SpannedPreprocess
from mmembed.preprocess.video import VideoPreprocess

FPS = 10


@st.composite
def cutting(draw: st.DrawFn) -> SpannedPreprocess:
    segment = draw(st.floats(0.2, 20))
    hop = segment * draw(st.floats(0.1, 1))
    least = segment * draw(st.floats(0, 1))
    if draw(st.booleans()):
        return AudioPreprocess(8000, segment, hop, least)
    return VideoPreprocess(ImagePreprocess(8), 3, segment, hop, least)


@settings(deadline=None, max_examples=150)
@given(cutting(), st.floats(0, 100))
def test_spans_cover_the_duration_and_nothing_more(
    preprocess: SpannedPreprocess, duration: float
) -> None:
    info = MediaInfo(preprocess.modality, "any", duration_seconds=duration)
    spans = preprocess.spans(info)
    assert [span.index for span in spans] == list(range(len(spans)))
    assert spans[0].start_seconds == 0
    assert spans[-1].end_seconds == duration
    for before, after in itertools.pairwise(spans):
        assert before.start_seconds < after.start_seconds <= before.end_seconds
        assert before.end_seconds < after.end_seconds
    longest = preprocess.segment_seconds + preprocess.min_seconds
    assert all(span.length_seconds <= longest + 1e-5 for span in spans)


@given(cutting())
def test_a_file_of_unknown_length_is_one_whole(preprocess: SpannedPreprocess) -> None:
    assert preprocess.spans(MediaInfo(preprocess.modality, "any")) == [None]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds whose frames get lighter, ten a second."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.options = {"qp": "4"}
        for number in range(2 * FPS):
            pixels = np.full((32, 48, 3), 40 + 8 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shown(values: np.ndarray) -> list[int]:
    """The numbers of the film's frames that values were made of."""
    return [round((float(frame.mean()) - 40) / 8) for frame in values]


@pytest.mark.parametrize(
    ("frames", "span", "numbers"),
    [
        (4, None, [2, 7, 12, 17]),
        (4, Span(0, 0.0, 2.0), [2, 7, 12, 17]),
        (2, Span(1, 1.0, 2.0), [12, 17]),
        (1, Span(0, 0.0, 1.0), [5]),
        (8, Span(0, 0.0, 0.4), [0, 1, 2, 3]),
    ],
)
def test_frames_stand_at_the_midpoints_of_equal_parts(
    film: Path, frames: int, span: Span | None, numbers: list[int]
) -> None:
    preprocess = VideoPreprocess(ImagePreprocess(16), frames)
    values = preprocess(preprocess.load(film, span))
    assert values.shape == (len(numbers), 3, 16, 16)
    assert values.dtype == np.uint8
    assert shown(values) == numbers


def test_a_long_film_cut_is_the_whole_film_cut(film: Path) -> None:
    whole, halves = (
        VideoPreprocess(ImagePreprocess(16), frames, seconds, seconds, 0.1)
        for frames, seconds in ((8, 2.0), (4, 1.0))
    )
    spans = halves.spans(probe(film))
    cut = [halves(clip) for clip in halves.stream(film, spans)]
    assert len(spans) == 2
    assert np.array_equal(np.concatenate(cut), whole(whole.load(film)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_frame_shown_again_counts_once(order: list[int]) -> None:
    times = np.sort(np.array(order, np.float64))
    frames = np.stack([np.full((8, 8, 3), 30 * time, np.uint8) for time in times])
    values = VideoPreprocess(ImagePreprocess(8), frames=8)(Clip(frames, times))
    assert [int(frame[0, 0, 0]) // 30 for frame in values] == sorted(set(order))


@given(st.integers(1, 30), st.integers(1, 60))
def test_all_clips_are_padded_alike(frames: int, length: int) -> None:
    preprocess = VideoPreprocess(frames=frames)
    assert preprocess.padded_length(length) == max(frames, length)
    assert preprocess.bucket(np.zeros((min(frames, length), 3, 2, 2))) == frames


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"frames": 0}, "frames 0 must be at least 1"),
        ({"hop_seconds": 0.0}, "needs 0 < hop_seconds"),
        ({"segment_seconds": 1.0, "hop_seconds": 2.0}, "needs 0 < hop_seconds"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=f"VideoPreprocess: .*{says}"):
        VideoPreprocess(**wrong)
