"""Real media made on the spot by real encoders, as bytes in memory."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

RATE = 16000
FPS = 25
BASE, DARKEST, STEP = 9, 15, 26  # a numbered frame shows two digits of base 9 as shades of grey


def _tone(seconds: float, rate: int = RATE, hertz: Sequence[float] = (440.0,)) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    # the sweep makes every second different from the others
    return np.stack([0.5 * np.sin(2 * np.pi * (f * time + 20 * time**2)) for f in hertz]).astype(
        np.float32
    )


def _write_sound(container: Any, stream: Any, samples: np.ndarray) -> None:
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    resampler = av.AudioResampler(stream.codec_context.format, layout, stream.rate)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
    frame.sample_rate, frame.pts, frame.time_base = stream.rate, 0, Fraction(1, stream.rate)
    fifo = av.AudioFifo()
    for converted in resampler.resample(frame):
        fifo.write(converted)
    size = stream.codec_context.frame_size or 1024
    while part := fifo.read(size, partial=True):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def _encode_sound(
    samples: np.ndarray,
    codec: str,
    container: str,
    rate: int = RATE,
    options: dict[str, str] | None = None,
) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.layout = {1: "mono", 2: "stereo"}[len(samples)]
        _write_sound(output, stream, samples)
    return file.getvalue()


def _encode_video(
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    container: str = "mp4",
    *,
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    turn: dict[str, Any] | None = None,
    sound: np.ndarray | None = None,
) -> bytes:
    """Encode pictures at FPS, or at ``pts`` in milliseconds."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=FPS, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(**turn)
        voice = None
        if sound is not None:
            voice = output.add_stream("libopus" if container == "webm" else "aac", rate=RATE)
            voice.layout = "mono"
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i if pts is None else pts[i]
            frame.time_base = Fraction(1, FPS) if pts is None else Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if voice is not None and sound is not None:
            _write_sound(output, voice, sound)
    return file.getvalue()


def _faststart(data: bytes) -> bytes:
    """Move the headers of an MP4 to its beginning, so that a half of it can be opened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.mp4")
        with (
            av.open(io.BytesIO(data)) as source,
            av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as output,
        ):
            streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    output.mux(packet)
        return path.read_bytes()


def _numbered(count: int, height: int = 32, width: int = 64) -> list[np.ndarray]:
    digits = [divmod(i, BASE) for i in range(count)]
    pair = np.array(digits, np.uint8)[:, None, :, None] * STEP + DARKEST
    return [np.repeat(np.tile(p, (height, 1, 3)), width // 2, axis=1) for p in pair]


def _numbers(frames: np.ndarray) -> list[int]:
    half = frames.shape[2] // 2
    pairs = [(f[:, :half].mean(), f[:, half:].mean()) for f in frames]
    digits = [[round((float(shade) - DARKEST) / STEP) for shade in pair] for pair in pairs]
    return [BASE * first + second for first, second in digits]


def _picture(format: str, image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _pcm(
    samples: np.ndarray, format: str = "WAV", subtype: str = "PCM_16", rate: int = RATE
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format=format, subtype=subtype)
    return file.getvalue()


def _colours(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose four quarters differ: red, green, blue, yellow."""
    image = Image.new("RGB", (width, height), "red")
    half = width // 2, height // 2
    image.paste("lime", (half[0], 0, width, half[1]))
    image.paste("blue", (0, half[1], half[0], height))
    image.paste("yellow", (half[0], half[1], width, height))
    return image


def _fixture(name: str, function: Callable[..., Any]) -> Any:
    @pytest.fixture(scope="session", name=name)
    def fixture() -> Callable[..., Any]:
        return function

    return fixture


tone = _fixture("tone", _tone)
encode_sound = _fixture("encode_sound", _encode_sound)
faststart = _fixture("faststart", _faststart)
write_sound = _fixture("write_sound", _write_sound)
encode_video = _fixture("encode_video", _encode_video)
numbered = _fixture("numbered", _numbered)
numbers = _fixture("numbers", _numbers)
picture = _fixture("picture", _picture)
pcm = _fixture("pcm", _pcm)
colours = _fixture("colours", _colours)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


@pytest.fixture
def png_chunk() -> Callable[[bytes, bytes], bytes]:
    """From a kind and a content to a chunk of a PNG file."""
    return _png_chunk
