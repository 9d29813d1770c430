"""Video clips for avdigits: a handwritten digit drifting over a coloured texture, as H.264 in MP4.

Knows frames and codecs; knows nothing of rows, splits or voices.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

SIDE = 64
FRAMES = 12
FPS = 10
SOUND_RATE = 16_000


@dataclass(frozen=True)
class Sound:
    """A mono sound track: int16 ``(samples,)`` at ``sample_rate`` Hz."""

    samples: np.ndarray
    sample_rate: int


def draw_frames(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return uint8 ``(frames, height, width, 3)``: ``digit`` ``(28, 28)`` moving over a texture."""
    texture = _texture(rng)
    ink = rng.integers(150, 256, 3).astype(np.float32)
    size = rng.uniform(32, 46) * (1 + np.linspace(0, 1, FRAMES) * rng.uniform(-0.15, 0.15))
    angle = np.linspace(0, 1, FRAMES) * rng.uniform(-20, 20) + rng.uniform(-10, 10)
    start, end = rng.uniform(0, 1, (2, 2))
    sway = rng.uniform(0, 2) * np.sin(np.linspace(0, rng.uniform(2, 8), FRAMES))
    drift = rng.integers(-3, 4, 2)
    glyph = Image.fromarray(digit)
    frames = np.empty((FRAMES, SIDE, SIDE, 3), np.uint8)
    for index in range(FRAMES):
        side = round(float(size[index]))
        mark = glyph.resize((side, side), Image.Resampling.BILINEAR)
        mark = mark.rotate(float(angle[index]), Image.Resampling.BILINEAR)
        room = SIDE - side
        at = (start + (end - start) * index / (FRAMES - 1)) * room + sway[index]
        left, top = (int(value) for value in np.clip(at.round(), 0, room))
        alpha = np.zeros((SIDE, SIDE, 1), np.float32)
        alpha[top : top + side, left : left + side, 0] = np.asarray(mark, np.float32) / 255
        ground = np.roll(texture, tuple(drift * index), (0, 1))
        grain = rng.integers(-8, 9, (SIDE, SIDE, 1))
        frames[index] = np.clip(ground * (1 - alpha) + ink * alpha + grain, 0, 255)
    return frames


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Return a soft random texture, float32 ``(height, width, 3)``, wrapping at its borders."""
    coarse = rng.integers(0, 256, (int(rng.integers(4, 17)),) * 2 + (3,)).astype(np.uint8)
    field = Image.fromarray(np.pad(coarse, ((1, 1), (1, 1), (0, 0)), "wrap"))
    soft = field.resize((SIDE + 16, SIDE + 16), Image.Resampling.BICUBIC)
    pixels = np.asarray(soft, np.float32)[8:-8, 8:-8]
    return pixels * rng.uniform(0.1, 0.45) + rng.uniform(0, 30)


def write_clip(path: Path, frames: np.ndarray, sound: Sound | None = None) -> None:
    """Write ``frames`` ``(frames, height, width, 3)`` as H.264, and ``sound`` as AAC, to an MP4."""
    with av.open(str(path), "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=FPS)
        picture.height, picture.width = frames.shape[1:3]
        picture.pix_fmt = "yuv420p"
        picture.options = {"preset": "superfast", "crf": "23", "threads": "1"}
        track = None
        if sound is not None:
            track = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for pixels in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode(None))
        if sound is not None and track is not None:
            frame = av.AudioFrame.from_ndarray(sound.samples[None], format="s16", layout="mono")
            frame.sample_rate = sound.sample_rate
            frame.time_base = Fraction(1, sound.sample_rate)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))


def film(path: Path, digit: np.ndarray, sound: Sound | None, seed: list[int]) -> None:
    """Draw and write one clip of ``digit`` ``(28, 28)``; the same seed films the same frames."""
    rng = np.random.default_rng(seed)
    frames = draw_frames(digit, rng)
    write_clip(path, frames, None if sound is None else _as_long_as_the_clip(sound, rng))


def _as_long_as_the_clip(sound: Sound, rng: np.random.Generator) -> Sound:
    """Return ``sound`` at a random place of a track that lasts as long as the frames do."""
    track = np.zeros(sound.sample_rate * FRAMES // FPS, np.int16)
    spoken = sound.samples[: len(track)]
    begin = int(rng.integers(len(track) - len(spoken) + 1))
    track[begin : begin + len(spoken)] = spoken
    return Sound(track, sound.sample_rate)
