"""Small pictures, sounds and frame strips of media files, as data URIs for an offline page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.audio import decode_audio
from mmembed.media.image import decode_image
from mmembed.media.probe import probe
from mmembed.media.segments import Span, uniform_times
from mmembed.media.video import decode_video

SIDE = 72
FRAMES = 3
LONGEST_SECONDS = 4.0


@dataclass(frozen=True)
class Thumbnail:
    """What stands for a file in the report.

    Attributes:
        picture: data URI of a small picture; empty if the file could not be read.
        sound: data URI of up to four seconds of sound; empty for other media.
    """

    picture: str = ""
    sound: str = ""


def thumbnail(path: Path, modality: str, with_sound: bool = False) -> Thumbnail:
    """Return a picture, a frame strip or a waveform (and its sound) of one file.

    A file that can't be read gives an empty thumbnail.
    """
    try:
        return MAKERS[modality](path, with_sound)
    except (MediaError, KeyError, OSError):
        return Thumbnail()


def _picture(path: Path, with_sound: bool) -> Thumbnail:
    return Thumbnail(_data_uri(_small(decode_image(path, min_side=SIDE))))


def _frames(path: Path, with_sound: bool) -> Thumbnail:
    span = Span(0, 0.0, probe(path).duration_seconds or 0.0)
    clip = decode_video(path, uniform_times(span, FRAMES), min_side=SIDE)
    strip = [np.asarray(_small(frame)) for frame in clip.frames]
    return Thumbnail(_data_uri(Image.fromarray(np.concatenate(strip, axis=1))))


def _waveform(path: Path, with_sound: bool) -> Thumbnail:
    sound = decode_audio(path, Span(0, 0.0, _seconds(path)), channels=1)
    samples = sound.samples[0]
    parts = (
        np.array_split(np.abs(samples), SIDE) if len(samples) >= SIDE else [np.abs(samples)] * SIDE
    )
    heights = np.array([part.max() for part in parts])
    heights = heights / max(heights.max(), 1e-6)
    rows = np.abs(np.linspace(-1, 1, SIDE // 2))[:, None]
    canvas = np.full((SIDE // 2, SIDE, 3), 245, np.uint8)
    canvas[rows <= np.maximum(heights, 0.03)[None]] = (70, 98, 190)
    uri = ""
    if with_sound:
        buffer = io.BytesIO()
        kind = "WAV" if len(samples) < 20_000 else "MP3"
        rate = sound.sample_rate
        if kind == "MP3" and rate not in (
            8000,
            11025,
            12000,
            16000,
            22050,
            24000,
            32000,
            44100,
            48000,
        ):
            kind = "WAV"
        soundfile.write(buffer, samples, rate, format=kind)
        mime = "audio/wav" if kind == "WAV" else "audio/mpeg"
        uri = f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Thumbnail(_data_uri(Image.fromarray(canvas)), uri)


def _seconds(path: Path) -> float:
    return min(LONGEST_SECONDS, probe(path).duration_seconds or LONGEST_SECONDS)


def _small(pixels: np.ndarray) -> Image.Image:
    picture = Image.fromarray(pixels)
    scale = SIDE / picture.height
    width = min(2 * SIDE, max(8, round(picture.width * scale)))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize((width, SIDE), method)


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=60, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


MAKERS: dict[str, Callable[[Path, bool], Thumbnail]] = {
    "image": _picture,
    "audio": _waveform,
    "video": _frames,
}
