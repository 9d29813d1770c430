"""Regions as a preprocess loads them: as the file that was cut out, or a fault of their cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.regions import Region
from mmembed.media.spans import Box, Span, cut
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.category import CategoryPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.regions import SLACK_SECONDS, region_spans
from mmembed.preprocess.video import VideoPreprocess

SOUNDS = AudioPreprocess(sample_rate=8000, segment_seconds=2.0, hop_seconds=1.5, min_seconds=0.25)
PICTURES = ImagePreprocess(size=16)
TEN = MediaInfo("audio", "wav", duration_seconds=10.0)
PLACE = "m.csv, row 3"


def spans(region: Region, info: MediaInfo = TEN, preprocess: Preprocess = SOUNDS) -> list:
    return region_spans(preprocess, info, region, "a.wav", PLACE)


@given(st.floats(0, 9.9), st.floats(0.01, 10))
def test_a_span_is_cut_as_the_file_that_it_would_be(start: float, length: float) -> None:
    end = min(start + length, 10.0)
    made = spans(Span(0, start, end))
    alone = cut(end - start, 2.0, 1.5, 0.25)
    assert [span.index for span in made] == [span.index for span in alone]
    for span, other in zip(made, alone, strict=True):
        assert span.start_seconds == pytest.approx(start + other.start_seconds)
        assert span.end_seconds == pytest.approx(start + other.end_seconds)
    assert (made[0].start_seconds, made[-1].end_seconds) == (start, end)


def test_an_end_that_was_rounded_up_is_the_end_of_the_file() -> None:
    assert spans(Span(0, 9, 10 + SLACK_SECONDS)) == [Span(0, 9, 10)]
    assert spans(Span(0, 9, 10)) == [Span(0, 9, 10)]


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Span(0, 9, 10.1), "column end_s: 10.1 is beyond the end, at 10.00 s"),
        (Span(0, 10, 12), "column start_s: 10 is beyond the end, at 10.00 s"),
        (Span(0, 12, 13), "column start_s: 12 is beyond the end, at 10.00 s"),
        (Box(0, 0, 1, 1), "column box: no box of audio is embedded"),
    ],
)
def test_a_region_that_a_sound_has_not_names_row_and_column(region: Region, message: str) -> None:
    with pytest.raises(MediaError) as error:
        spans(region)
    assert str(error.value) == f"a.wav: {PLACE}, {message}"
    assert error.value.stage == "probe"


@pytest.mark.parametrize(
    ("preprocess", "region", "message"),
    [
        (
            PICTURES,
            Box(0, 0, 41, 30),
            "column box: 0,0,41,30 reaches beyond the picture of 40 × 30",
        ),
        (PICTURES, Span(0, 1, 2), "column start_s: no span of image is embedded"),
        (VideoPreprocess(), Box(0, 0, 1, 1), "column box: no box of video is embedded"),
        (CategoryPreprocess(), Box(0, 0, 1, 1), "column box: no box of category is embedded"),
    ],
)
def test_what_takes_no_such_region_says_so(
    preprocess: Preprocess, region: Region, message: str
) -> None:
    info = MediaInfo(preprocess.modality, "x", width=40, height=30)
    with pytest.raises(MediaError, match=message):
        spans(region, info, preprocess)


def test_what_has_no_known_length_is_taken_at_its_word() -> None:
    assert spans(Span(0, 1, 2), MediaInfo("audio", "x")) == [Span(0, 1, 2)]


def test_spans_of_the_sound_of_a_video_end_with_that_sound() -> None:
    film = MediaInfo("video", "mp4", duration_seconds=10, has_audio=True, sound_seconds=4.0)
    with pytest.raises(MediaError, match=r"column end_s: 5 is beyond the end, at 4\.00 s"):
        spans(Span(0, 3, 5), film)
    assert spans(Span(0, 3, 5), film, VideoPreprocess()) == [Span(0, 3, 5)]


LATE = MediaInfo(
    "video",
    "mp4",
    duration_seconds=10.0,
    has_audio=True,
    sound_begin_seconds=2.0,
    sound_seconds=8.0,
)


def test_spans_of_a_track_that_begins_late_begin_with_it() -> None:
    """As they do in a whole file; but for a quarter of a second, which is taken as it is."""
    assert spans(Span(0, 0.5, 3.5), LATE) == [Span(0, 2.0, 3.5)]
    assert spans(Span(0, 1.9, 3.5), LATE) == [Span(0, 1.9, 3.5)]
    assert spans(Span(0, 2.5, 3.5), LATE) == [Span(0, 2.5, 3.5)]
    assert spans(Span(0, 0, 8), LATE) == SOUNDS.spans(LATE)
    assert spans(Span(0, 0.5, 3.5), LATE, VideoPreprocess()) == [Span(0, 0.5, 3.5)]
    with pytest.raises(MediaError, match=r"column end_s: 2 is before the begin, at 2\.00 s"):
        spans(Span(0, 0.5, 2.0), LATE)


def test_a_span_of_a_file_that_stops_early_may_reach_its_declared_end() -> None:
    torn = MediaInfo("audio", "wav", duration_seconds=5.0, declared_seconds=10.0)
    assert spans(Span(0, 4, 9), torn) == [Span(0, 4, 5)]
    with pytest.raises(MediaError, match=r"end_s: 11 is beyond the end, at 10\.00 s"):
        spans(Span(0, 4, 11), torn)
    with pytest.raises(MediaError, match=r"start_s: 6 is beyond the end, at 5\.00 s of 10\.00 s"):
        spans(Span(0, 6, 7), torn)


@pytest.mark.parametrize("size", [16, 200])
def test_a_box_is_the_picture_that_was_cut_out(tmp_path: Path, size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    whole, alone = tmp_path / "whole.png", tmp_path / "alone.png"
    Image.fromarray(pixels).save(whole)
    preprocess = ImagePreprocess(size=size)
    boxes = [Box(10, 20, 50, 40), Box(0, 0, 160, 120), Box(159, 119, 1, 1)]
    for box, media in zip(boxes, preprocess.stream(whole, boxes), strict=True):
        left, top, right, bottom = box.edges
        Image.fromarray(pixels[top:bottom, left:right]).save(alone)
        expected = preprocess(preprocess.load(alone))
        assert np.array_equal(preprocess(media), expected)
        assert np.array_equal(preprocess(preprocess.load(whole, box)), expected)


def test_a_box_counts_from_the_corner_of_the_upright_picture(tmp_path: Path) -> None:
    """And a JPEG is not decoded at a part of its size, in whose pixels the box would be."""
    picture = Image.new("RGB", (400, 200), "red")
    picture.paste("blue", (300, 0, 400, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown with the left side up
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    info = probe(tmp_path / "turned.jpg")
    assert (info.width, info.height) == (200, 400)
    blue = PICTURES.load(tmp_path / "turned.jpg", Box(104, 304, 92, 92))
    red = PICTURES.load(tmp_path / "turned.jpg", Box(0, 0, 92, 92))
    assert blue.shape == red.shape == (92, 92, 3)
    assert np.abs(blue.astype(int) - (0, 0, 255)).max() < 12
    assert np.abs(red.astype(int) - (255, 0, 0)).max() < 12


def test_a_box_that_only_decoding_shows_to_be_outside_is_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match="1,1,40,9 reaches beyond the picture of 40 × 30 pixels"):
        PICTURES.load(tmp_path / "a.png", Box(1, 1, 40, 9))


@pytest.mark.parametrize("rate", [8000, 11025])
def test_a_span_sounds_as_the_sound_that_was_cut_out(tmp_path: Path, rate: int) -> None:
    """Within what resampling makes of the edges, where the rate is another."""
    samples = np.random.default_rng(1).normal(0, 0.1, 10 * rate).astype(np.float32)
    soundfile.write(tmp_path / "whole.wav", samples, rate, subtype="FLOAT")
    start, end = 2 * rate, 3 * rate
    soundfile.write(tmp_path / "alone.wav", samples[start:end], rate, subtype="FLOAT")
    (span,) = spans(Span(0, 2, 3))
    values = SOUNDS(SOUNDS.load(tmp_path / "whole.wav", span))
    expected = SOUNDS(SOUNDS.load(tmp_path / "alone.wav"))
    assert values.shape == expected.shape == (8000,)
    inside = slice(None) if rate == 8000 else slice(200, -200)
    assert np.abs(values - expected)[inside].max() < 1e-5
