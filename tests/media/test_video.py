"""Frames are those shown at the asked times, upright, and no larger than asked for."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.probe import probe
from mmembed.media.video import Clip, decode_video
from mmembed.media.video_frames import FrameReader

FPS = 25
COUNT = 70
Make = Callable[..., Any]

# no thread pool: a run stood still at this clip for ever, most likely in x265's
X265 = "open-gop=1:keyint=10:log-level=none:pools=none:frame-threads=1:wpp=0"
KINDS = {  # codec, container, encoder options
    "mp4": ("libx264", "mp4", {"g": "12", "bf": "3"}),
    "mp4-one-gop": ("libx264", "mp4", {"g": "250", "bf": "2"}),
    "mp4-intra": ("libx264", "mp4", {"g": "1"}),
    "mp4-open-gop": ("libx265", "mp4", {"x265-params": X265}),
    "mp4-mpeg4": ("mpeg4", "mp4", {"g": "10", "bf": "2", "q": "2"}),
    "mov": ("libx264", "mov", {"g": "15"}),
    "mkv": ("libx264", "matroska", {"g": "12", "bf": "3"}),
    "webm-vp9": ("libvpx-vp9", "webm", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "webm-vp8": ("libvpx", "webm", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "avi": ("mpeg4", "avi", {"g": "10"}),
    "avi-mjpeg": ("mjpeg", "avi", {"q": "2"}),
    "avi-b-frames": ("mpeg4", "avi", {"g": "10", "bf": "2", "b": "4M"}),
    "avi-h264": ("libx264", "avi", {"g": "12", "bf": "2"}),
    "mpegts": ("libx264", "mpegts", {"g": "12", "bf": "2"}),
    "mpegts-mpeg2": ("mpeg2video", "mpegts", {"g": "10", "bf": "2", "b": "4M"}),
    "flv": ("libx264", "flv", {"g": "12", "bf": "2"}),
}


@pytest.fixture(scope="module", params=KINDS)
def clip(request: pytest.FixtureRequest, encode_video: Make, numbered: Make) -> bytes:
    """A video of 70 frames, the number of a frame being its brightness."""
    codec, container, options = KINDS[request.param]
    return encode_video(numbered(COUNT), codec, container, options=options)


def frame_at(time: float) -> int:
    return min(COUNT - 1, max(0, math.floor(time * FPS + 1e-3)))


def check(data: bytes, times: list[float], numbers: Make) -> None:
    got = decode_video(data, times)
    expected = [frame_at(time) for time in times]
    assert numbers(got.frames) == expected
    # Matroska keeps milliseconds, MPEG and FLV something like it
    assert got.pts_seconds == pytest.approx(np.array(expected) / FPS, abs=1.1e-3)


def test_every_frame_is_found_at_its_time(clip: bytes, numbers: Make) -> None:
    check(clip, [(i + 0.5) / FPS for i in range(COUNT)], numbers)


@pytest.mark.parametrize(
    "times", [[2.5], [1.3, 1.5], [0.0, 2.7], [0.5, 0.9, 2.2], [-1.0, 99.0], [0.62, 0.1, 2.01, 0.1]]
)
def test_a_few_frames_are_those_shown_at_the_times(
    clip: bytes, times: list[float], numbers: Make
) -> None:
    check(clip, times, numbers)


def test_a_frames_own_time_shows_it(encode_video: Make, numbered: Make, numbers: Make) -> None:
    data = encode_video(numbered(COUNT))
    clip = decode_video(data, [i / FPS for i in range(COUNT)])
    assert numbers(clip.frames) == list(range(COUNT))
    assert clip.pts_seconds == pytest.approx(np.arange(COUNT) / FPS, abs=1e-12)
    assert (clip.frames.dtype, clip.pts_seconds.dtype) == (np.uint8, np.float64)
    assert clip.frames.shape == (COUNT, 32, 64, 3)


@pytest.fixture(scope="module")
def short_groups(encode_video: Make, numbered: Make) -> list[bytes]:
    """The numbered frames with a key frame every eight, in two containers."""
    return [
        encode_video(numbered(COUNT), container=container, options={"g": "8"})
        for container in ("mp4", "matroska")
    ]


@settings(max_examples=25, deadline=None)
@given(times=st.lists(st.floats(-0.5, 3.2), min_size=1, max_size=8))
def test_any_times_in_any_order_give_the_frames_shown_then(
    times: list[float], short_groups: list[bytes], numbers: Make
) -> None:
    expected = [max(0, min(COUNT - 1, math.floor((time + 1e-6) * FPS))) for time in times]
    for data in short_groups:
        assert numbers(decode_video(data, times).frames) == expected


@pytest.mark.parametrize("name", ["mp4", "matroska", "avi", "mpegts"])
def test_far_times_are_seeked_to_and_exact(
    name: str, encode_video: Make, numbered: Make, numbers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the numbers go round, one round being longer than what a wrong seek could be off
    pictures = numbered(COUNT) * 20
    codec = "mpeg4" if name == "avi" else "libx264"
    data = encode_video(pictures, codec, name, options={"g": "50", "preset": "ultrafast"})
    decoded = _count_decoded(monkeypatch)
    times = [0.02, 15.02, 31.22, 50.86, 55.9]
    got = decode_video(data, times)
    assert numbers(got.frames) == [math.floor(t * FPS) % COUNT for t in times]
    assert got.pts_seconds == pytest.approx([math.floor(t * FPS) / FPS for t in times], abs=1e-3)
    assert decoded() < 450  # of 1400


def _count_decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    readers: list[FrameReader] = []
    begin = FrameReader.__init__

    def remembered(self: FrameReader, *args: Any) -> None:
        readers.append(self)
        begin(self, *args)

    monkeypatch.setattr(FrameReader, "__init__", remembered)
    return lambda: readers[-1].good


def test_groups_of_pictures_that_nobody_asked_for_are_not_decoded(
    encode_video: Make, numbered: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_video(numbered(COUNT), options={"g": "10", "bf": "0"})
    decoded = _count_decoded(monkeypatch)
    decode_video(data, [0.0, 2.45])
    assert decoded() <= 8
    decode_video(data, [0.41])
    assert decoded() <= 4


def test_variable_frame_rate_holds_frames_until_the_next(
    encode_video: Make, numbered: Make, numbers: Make
) -> None:
    starts = [0, 40, 500, 510, 1900, 2000]
    for container in ("mp4", "matroska"):
        data = encode_video(numbered(6), container=container, pts=starts)
        got = decode_video(data, [0.03, 0.04, 0.4, 0.505, 1.8, 1.95, 5.0])
        assert numbers(got.frames) == [0, 1, 1, 2, 3, 4, 5]
        assert got.pts_seconds.tolist() == pytest.approx([0, 0.04, 0.04, 0.5, 0.51, 1.9, 2.0])


def test_times_count_from_the_first_frame(
    encode_video: Make, numbered: Make, numbers: Make
) -> None:
    starts = [5000 + 40 * i for i in range(30)]
    data = encode_video(numbered(30), container="matroska", pts=starts)
    got = decode_video(data, [0.0, 0.5])
    assert numbers(got.frames) == [0, 12]
    assert got.pts_seconds == pytest.approx([0.0, 0.48])


TURNS = [
    {"degrees": degrees, "hflip": hflip} for degrees in (0, 90, 180, -90) for hflip in (False, True)
]


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_rotation_and_mirroring_are_applied(
    turn: dict[str, Any], encode_video: Make, colours: Callable[..., Image.Image]
) -> None:
    picture = np.asarray(colours(64, 32))
    got = decode_video(encode_video([picture] * 3, turn=turn), [0.0]).frames[0]
    expected = np.rot90(picture, turn["degrees"] // 90)
    expected = expected[:, ::-1] if turn["hflip"] else expected
    assert got.shape == expected.shape
    for y in (4, -5):
        for x in (4, -5):
            assert np.abs(got[y, x].astype(int) - expected[y, x]).max() < 40
    info = probe(encode_video([picture] * 3, turn=turn))
    assert (info.height, info.width) == expected.shape[:2]


@pytest.mark.parametrize(
    ("min_side", "shape"),
    [(None, (96, 160)), (60, (96, 160)), (48, (96, 160)), (24, (48, 80)), (10, (20, 33))],
)
def test_much_larger_frames_are_scaled_down_with_their_aspect(
    min_side: int | None, shape: tuple[int, int], encode_video: Make, colours: Make
) -> None:
    data = encode_video([np.asarray(colours(160, 96))] * 2)
    got = decode_video(data, [0.0], min_side=min_side).frames
    assert got.shape == (1, *shape, 3)
    assert np.abs(got[0, 2, 2].astype(int) - (255, 0, 0)).max() < 25


def test_path_and_bytes_give_the_same(tmp_path: Path, encode_video: Make, numbered: Make) -> None:
    data = encode_video(numbered(20))
    path = tmp_path / "wrong.png"
    path.write_bytes(data)
    assert np.array_equal(decode_video(path, [0.3]).frames, decode_video(data, [0.3]).frames)


def test_a_truncated_video_is_refused_where_it_matters(
    tmp_path: Path, encode_video: Make, numbered: Make, numbers: Make, faststart: Make
) -> None:
    data = faststart(encode_video(numbered(COUNT), options={"g": "10", "crf": "1"}))
    path = tmp_path / "half.mp4"
    path.write_bytes(data[: len(data) * 6 // 10])
    assert numbers(decode_video(path, [0.5]).frames) == [12]
    said = r"half.mp4: stops after \d.\d s of 2.8 s \(decoder: h264\)\. Re-encode it, or allow"
    with pytest.raises(MediaError, match=said) as caught:
        decode_video(path, [0.5, 2.5])
    assert caught.value.stage == "decode"
    last = numbers(decode_video(path, [0.5, 2.5], allow_truncated=True).frames)[1]
    assert 12 < last < 62
    unfinished = encode_video(numbered(COUNT))[:2000]  # an MP4's headers stand at its end
    with pytest.raises(MediaError, match=r"can't be opened, .* It may be cut short"):
        decode_video(unfinished, [0.0])


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (32, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (0, 59, r"can't be decoded, invalid data found .*\. Re-encode it"),
        (10, 40, r"is corrupt, 31 packets can't be decoded \(decoder: mjpeg\)\. Re-encode it"),
        (30, 59, r"stops after 1\.2 s of 2\.4 s \(decoder: mjpeg\)"),
    ],
)
def test_a_corrupt_video_is_refused(first: int, last: int, said: str, encode_video: Make) -> None:
    data = encode_video([noise(i) for i in range(60)], "mjpeg", "mov")
    with av.open(io.BytesIO(data)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        broken = [(p.pos, p.size) for p in packets[first : last + 1]]
    spoilt = bytearray(data)
    for position, size in broken:
        spoilt[position : position + size] = b"\x55" * size
    with pytest.raises(MediaError, match=said):
        decode_video(bytes(spoilt), [i / FPS for i in range(60)])


def test_what_has_no_pictures_is_refused(tone: Make, encode_sound: Make, picture: Make) -> None:
    with pytest.raises(MediaError, match=r"<bytes>: has no pictures\. Take its sound alone"):
        decode_video(encode_sound(tone(1), "aac", "mp4"), [0.0])
    with pytest.raises(MediaError, match="is png, not sound or video"):
        decode_video(picture("PNG", Image.new("L", (4, 4))), [0.0])


@pytest.mark.parametrize("times", [[], [math.nan], [0.0, math.inf]])
def test_times_must_be_finite_and_at_least_one(times: list[float]) -> None:
    with pytest.raises(ValueError, match="times_seconds must be finite and at least one"):
        decode_video(b"", times)


def test_a_clip_has_a_time_for_every_frame() -> None:
    with pytest.raises(ValueError, match="a clip holds frames"):
        Clip(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3))


@pytest.mark.parametrize("matrix", ["ITU709", "ITU601"])
@pytest.mark.parametrize("levels", ["MPEG", "JPEG"])
def test_colours_follow_the_matrix_and_range_that_the_stream_names(
    matrix: str, levels: str
) -> None:
    colour = (200, 40, 60)
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = {"ITU709": 1, "ITU601": 5}[matrix]
        stream.codec_context.color_range = {"MPEG": 1, "JPEG": 2}[levels]
        frame = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=levels)
        output.mux([*stream.encode(frame), *stream.encode(None)])
    got = decode_video(file.getvalue(), [0.0]).frames[0, 20, 30]
    assert np.abs(got.astype(int) - colour).max() <= 4
