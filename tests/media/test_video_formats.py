"""Videos of each format, made from scratch: told by content, decoded to the frames they hold."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmembed.media.audio import decode_audio
from mmembed.media.formats import VIDEOS
from mmembed.media.probe import probe
from mmembed.media.video import decode_video

Make = Callable[..., Any]
FPS, COUNT = 25, 30

# format, encoder, container, options of the encoder
MADE = [
    ("mp4", "libx264", "mp4", {}),
    ("mp4", "libx265", "mp4", {"x265-params": "log-level=none"}),
    ("mov", "libx264", "mov", {}),
    ("mov", "mjpeg", "mov", {}),
    ("3gp", "libx264", "3gp", {}),
    ("3g2", "libx264", "3g2", {}),
    ("f4v", "libx264", "f4v", {}),
    ("mkv", "libx264", "matroska", {}),
    ("mkv", "ffv1", "matroska", {}),
    ("webm", "libvpx", "webm", {}),
    ("webm", "libvpx-vp9", "webm", {}),
    ("avi", "mpeg4", "avi", {}),
    ("avi", "mjpeg", "avi", {}),
    ("asf", "wmv2", "asf", {}),
    ("flv", "flv", "flv", {}),
    ("ogv", "libvpx", "ogg", {}),
    ("mpeg", "mpeg2video", "mpeg", {}),
    ("mpeg", "mpeg1video", "vcd", {}),
    ("mpegts", "libx264", "mpegts", {}),
    ("mxf", "mpeg2video", "mxf", {}),
    ("nut", "mpeg4", "nut", {}),
    ("realmedia", "rv10", "rm", {}),
    ("ivf", "libvpx", "ivf", {}),
    ("h264", "libx264", "h264", {}),
    ("hevc", "libx265", "hevc", {"x265-params": "log-level=none"}),
    ("m4v", "mpeg4", "m4v", {}),
    ("mpegvideo", "mpeg2video", "mpeg2video", {}),
]


def holds(data: bytes, format: str, numbers: Make, seconds: float = COUNT / FPS) -> None:
    """Hold that a file is of a format, as long as it should be, with the frames in their order."""
    info = probe(data)
    assert (info.modality, info.format) == ("video", format)
    if format not in ("mpeg", "h264", "hevc", "mpegvideo", "m4v"):  # no time stamps, or odd ones
        assert info.duration_seconds == pytest.approx(seconds, abs=0.1)
    times = [(i + 0.5) / FPS for i in range(0, COUNT, 7)]
    assert numbers(decode_video(data, times).frames) == list(range(0, COUNT, 7))


@pytest.mark.parametrize(("format", "codec", "container", "options"), MADE)
def test_videos_that_ffmpeg_writes(
    format: str,
    codec: str,
    container: str,
    options: dict[str, str],
    encode_video: Make,
    numbered: Make,
    numbers: Make,
) -> None:
    pictures = numbered(COUNT, 96, 128)
    holds(encode_video(pictures, codec, container, options=options), format, numbers)


def test_digital_video_of_camcorders(encode_video: Make, numbered: Make, numbers: Make) -> None:
    holds(encode_video(numbered(COUNT, 576, 720), "dvvideo", "dv"), "dv", numbers)


def y4m(pictures: Sequence[np.ndarray]) -> bytes:
    """A YUV4MPEG2 file of grey pictures."""
    height, width = pictures[0].shape[:2]
    file = io.BytesIO()
    file.write(f"YUV4MPEG2 W{width} H{height} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
    for picture in pictures:
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
    return file.getvalue()


def test_raw_frames_of_y4m(numbered: Make, numbers: Make) -> None:
    holds(y4m(numbered(COUNT)), "y4m", numbers)


def motion_jpeg_2000(data: bytes) -> bytes:
    """A QuickTime file as Motion JPEG 2000: its signature takes the room of three brands."""
    assert data[4:8] == b"ftyp"
    size = int.from_bytes(data[:4], "big")
    brands = (size - 12).to_bytes(4, "big") + b"ftypmjp2\0\0\0\0" + b"mjp2" * ((size - 28) // 4)
    return b"\0\0\0\x0cjP  \r\n\x87\n" + brands + data[size:]


def test_motion_jpeg_2000_is_no_picture(encode_video: Make, numbered: Make, numbers: Make) -> None:
    made = encode_video(numbered(COUNT), "jpeg2000", "mp4")
    holds(motion_jpeg_2000(made), "mj2", numbers)


def with_packets_of(size: int, stream: bytes) -> bytes:
    """A transport stream with packets of 192 bytes (a time stamp before) or of 204 (parity)."""
    packets = [stream[at : at + 188] for at in range(0, len(stream), 188)]
    return b"".join(bytes(4) + p if size == 192 else p + bytes(size - 188) for p in packets)


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("junk", [0, 1, 777, 60_000])
def test_a_transport_stream_of_any_packets_behind_junk(
    size: int, junk: int, encode_video: Make, numbered: Make, numbers: Make
) -> None:
    stream = encode_video(numbered(COUNT, 96, 128), "mpeg2video", "mpegts")
    before = np.random.default_rng(junk).bytes(junk)
    holds(before + with_packets_of(size, stream), "mpegts", numbers)


@pytest.mark.parametrize("junk", [1, 5000])
def test_a_program_stream_behind_junk(
    junk: int, encode_video: Make, numbered: Make, numbers: Make
) -> None:
    stream = encode_video(numbered(COUNT, 96, 128), "mpeg2video", "mpeg")
    holds(np.random.default_rng(0).bytes(junk) + stream, "mpeg", numbers)


def ogg_streams(kinds: list[tuple[str, str]], tone: Make, numbered: Make) -> bytes:
    """An Ogg file with the pages of streams, each a kind and its encoder."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as output:
        streams = []
        for kind, codec in kinds:
            if kind == "video":
                stream = output.add_stream(codec, rate=FPS)
                stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
            else:
                stream = output.add_stream(codec, rate=48000)
                stream.layout = "mono"
            streams.append((kind, stream))
        for kind, stream in streams:
            if kind == "video":
                for i, picture in enumerate(numbered(COUNT)):
                    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                    frame.pts = i
                    output.mux(stream.encode(frame))
            else:
                sound = av.AudioFrame.from_ndarray(tone(1.2, 48000), "fltp", "mono")
                sound.sample_rate, sound.pts = 48000, 0
                size = stream.codec_context.frame_size or 960
                to = av.AudioResampler(stream.codec_context.format, "mono", 48000, size)
                for part in (*to.resample(sound), *to.resample(None)):
                    output.mux(stream.encode(part))
            output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("sound", ["libopus", "flac"])
@pytest.mark.parametrize("first", ["audio", "video"])
def test_an_ogg_file_with_pictures_is_a_video_whatever_comes_first(
    sound: str, first: str, tone: Make, numbered: Make, numbers: Make
) -> None:
    both = [("audio", sound), ("video", "libvpx")]
    data = ogg_streams(both if first == "audio" else both[::-1], tone, numbered)
    holds(data, "ogv", numbers)
    info = probe(data)
    assert (info.has_audio, info.sample_rate) == (True, 48000)
    assert decode_audio(data).samples.shape[1] == pytest.approx(1.2 * 48000, abs=2000)


def test_the_page_of_formats_says_of_each_video_how_it_was_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    made = {row[0] for row in MADE} | {"dv", "y4m", "mj2"}
    for name in VIDEOS:
        row = re.search(rf"^\| {name} \| FFmpeg \| (.*) \|$", page, re.MULTILINE)
        assert row, name
        assert (row[1] == "read, untested") == (name not in made), name
