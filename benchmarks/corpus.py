"""Media that benchmarks make themselves, out of two real photographs and coloured noise."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image
from sklearn.datasets import load_sample_images

RATE, FPS = 16000, 25
PHOTOS = [Image.fromarray(pixels) for pixels in load_sample_images().images]


def photo(path: Path, seed: int, size: tuple[int, int]) -> None:
    """A part of a real photograph, scaled, as a JPEG."""
    rng = np.random.default_rng(seed)
    source = PHOTOS[seed % len(PHOTOS)]
    wide = int(rng.integers(300, source.width))
    high = min(wide * size[1] // size[0], source.height)
    left, top = (
        int(rng.integers(0, most + 1)) for most in (source.width - wide, source.height - high)
    )
    part = source.resize(size, Image.Resampling.BICUBIC, (left, top, left + wide, top + high))
    part.save(path.with_suffix(".jpg"), quality=88)


def sound(path: Path, seed: int, seconds: int = 10) -> None:
    """Noise that swells, as 16-bit WAV."""
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.normal(0, 0.01, seconds * RATE)) % 1 - 0.5
    swell = np.abs(np.sin(np.arange(seconds * RATE) / RATE * rng.uniform(0.5, 3)))
    soundfile.write(path.with_suffix(".wav"), noise * swell, RATE)


def film(path: Path, seed: int, seconds: int = 10) -> None:
    """A photograph that the camera moves over, as H.264."""
    source = PHOTOS[seed % len(PHOTOS)].resize((960, 640))
    with av.open(str(path.with_suffix(".mp4")), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for i in range(seconds * FPS):
            left, top = round(160 + 160 * np.sin(i / 40 + seed)), i % 280
            frame = av.VideoFrame.from_image(source.crop((left, top, left + 640, top + 360)))
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
