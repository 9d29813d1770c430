"""Small pictures, sounds and frame strips of media files, as data URIs for an offline page.

This module knows nothing of items, scores or pages.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import soundfile
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.audio import Waveform, decode_audio
from mmembed.media.image import decode_image
from mmembed.media.probe import probe
from mmembed.media.segments import Span, uniform_times
from mmembed.media.sniff import Source, opened
from mmembed.media.video import decode_video
from mmembed.storage import Place

SIDE = 84
FRAMES = 3
LONGEST_SECONDS = 4.0
MP3_RATES = (8000, 11025, 12000, 16000)  # what libsndfile can write, up to RATE
RATE = 16000
WAV_SAMPLES = 8000
LOUD, BACK = (86, 110, 214), (236, 239, 247)


@dataclass(frozen=True)
class Thumbnail:
    """What stands for a file in the report.

    Attributes:
        picture: data URI of a small picture; empty if the file could not be read.
        sound: data URI of up to four seconds of sound; empty for other media.
    """

    picture: str = ""
    sound: str = ""


def thumbnail(path: Place, modality: str, with_sound: bool = False) -> Thumbnail:
    """Return a picture, a strip of frames or a waveform (and its sound) of one file.

    A file that is gone or can't be decoded gives an empty thumbnail.
    """
    maker = MAKERS.get(modality)
    if maker is None:
        return Thumbnail()
    try:
        return maker(opened(path), with_sound)
    except (MediaError, OSError, ValueError, soundfile.SoundFileError):
        return Thumbnail()


def _picture(path: Source, with_sound: bool) -> Thumbnail:
    return Thumbnail(_picture_uri(_small(decode_image(path, min_side=SIDE))))


def _frames(path: Source, with_sound: bool) -> Thumbnail:
    span = Span(0, 0.0, probe(path).duration_seconds or 0.0)
    clip = decode_video(path, uniform_times(span, FRAMES), min_side=SIDE)
    strip = [np.asarray(_small(frame)) for frame in clip.frames]
    return Thumbnail(_picture_uri(Image.fromarray(np.concatenate(strip, axis=1))))


def _waveform(path: Source, with_sound: bool) -> Thumbnail:
    seconds = min(LONGEST_SECONDS, probe(path).duration_seconds or LONGEST_SECONDS)
    sound = decode_audio(path, Span(0, 0.0, seconds), channels=1)
    if sound.sample_rate not in MP3_RATES:
        sound = decode_audio(path, Span(0, 0.0, seconds), channels=1, sample_rate=RATE)
    samples = np.abs(np.nan_to_num(sound.samples[0]))
    columns = np.linspace(0, len(samples), 2 * SIDE + 1).astype(int)
    heights = np.array([samples[a : max(a + 1, b)].max(initial=0.0) for a, b in pairwise(columns)])
    heights = heights / max(heights.max(), 1e-6)
    rows = np.abs(np.linspace(-1, 1, SIDE))[:, None]
    canvas = np.full((SIDE, 2 * SIDE, 3), BACK, np.uint8)
    canvas[rows <= np.maximum(0.92 * heights, 0.02)[None]] = LOUD
    uri = _sound_uri(sound) if with_sound else ""
    return Thumbnail(_picture_uri(Image.fromarray(canvas)), uri)


def _small(pixels: np.ndarray) -> Image.Image:
    """Return a picture ``SIDE`` high at most, no more than twice as wide; tiny ones in squares."""
    picture = Image.fromarray(pixels)
    times = SIDE // max(picture.size)
    if times > 1:
        size = (picture.width * times, picture.height * times)
        return picture.resize(size, Image.Resampling.NEAREST)
    picture.thumbnail((2 * SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def _picture_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=60, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _sound_uri(sound: Waveform) -> str:
    """Return short sounds as WAV, which is exact, and longer ones as MP3, which is small."""
    samples = np.clip(sound.samples[0], -1, 1)
    kind, mime = ("WAV", "wav") if len(samples) <= WAV_SAMPLES else ("MP3", "mpeg")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sound.sample_rate, format=kind)
    return f"data:audio/{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


MAKERS: dict[str, Callable[[Source, bool], Thumbnail]] = {
    "image": _picture,
    "audio": _waveform,
    "video": _frames,
}
