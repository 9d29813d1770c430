"""Small pictures, sounds and frame strips of media files, as data URIs for an offline page.

This module knows nothing of items, scores or pages.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import soundfile
from PIL import Image

from mmembed.media.audio import Waveform, decode_audio
from mmembed.media.file import MediaFile
from mmembed.media.image import decode_image, limit_pixels
from mmembed.media.limits import MAX_PIXELS, MAX_SECONDS
from mmembed.media.probe import probe
from mmembed.media.regions import Region, region_named
from mmembed.media.spans import Box, Span, uniform_times
from mmembed.media.video import decode_video
from mmembed.modality import Display
from mmembed.paths import Place

SIDE = 96
SMALL_SIDE = 48
FRAMES = 3
LONGEST_SECONDS = 4.0
MP3_RATES = (8000, 11025, 12000, 16000)  # what libsndfile can write, up to RATE
RATE = 16000
WAV_SAMPLES = 8000
LOUD = (86, 120, 220)
URI = "data:image/webp;base64,"


@dataclass(frozen=True)
class Thumbnail:
    """A picture and a sound that stand for a file in the report.

    Attributes:
        picture: data URI of a small picture; empty if the file could not be read.
        sound: data URI of a few seconds of sound; empty for other media.
    """

    picture: str = ""
    sound: str = ""


@dataclass(frozen=True)
class Wanted:
    """A file to make a thumbnail of.

    Args:
        path: of the file.
        display: how to look at it.
        span: start and end in seconds of the part to show; None shows all of a video, and a sound
            from its start.
        sound_seconds: length of the sound that can be played, at most; 0 for none.
        region: the name of the region of the file that the item is; None for all of it.
    """

    path: Place
    display: Display
    span: tuple[float, float] | None = None
    sound_seconds: float = 0.0
    region: str | None = None


def thumbnail(wanted: Wanted) -> Thumbnail:
    """Return a picture, a strip of frames or a waveform (and its sound) of one file.

    A file that is gone, can't be decoded, or is larger or longer than what ``mmembed embed`` takes
    gives an empty thumbnail. Pictures of this process are limited from here on.
    """
    maker = MAKERS.get(wanted.display)
    if maker is None:
        return Thumbnail()
    limit_pixels(MAX_PIXELS)
    try:
        region = None if wanted.region is None else region_named(wanted.region)
        shown = region if wanted.span is None else Span(0, *wanted.span)
        with MediaFile(wanted.path) as file:
            return maker(file, shown, wanted.sound_seconds)
    except Exception:  # decoders may raise anything on hostile data
        return Thumbnail()


def thumbnails(wanted: Wanted) -> Iterator[Thumbnail]:
    """Yield the :func:`thumbnail` of one file: the work of a guarded pool."""
    yield thumbnail(wanted)


def smaller(picture: str) -> str:
    """Return a data URI that :func:`thumbnail` made, at half its size and less well."""
    image = Image.open(io.BytesIO(base64.b64decode(picture.removeprefix(URI))))
    image.thumbnail((2 * SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
    return _picture_uri(image, 40)


def _picture(file: MediaFile, region: Region | None, sound_seconds: float) -> Thumbnail:
    if not isinstance(region, Box):
        return Thumbnail(_picture_uri(_small(decode_image(file, min_side=SIDE))))
    left, top, right, bottom = region.edges
    return Thumbnail(_picture_uri(_small(decode_image(file)[top:bottom, left:right])))


def _frames(file: MediaFile, region: Region | None, sound_seconds: float) -> Thumbnail:
    length = _length(file)
    shown = region if isinstance(region, Span) else Span(0, 0.0, length)
    clip = decode_video(file, uniform_times(shown, FRAMES), min_side=SIDE)
    strip = [np.asarray(_small(frame)) for frame in clip.frames]
    return Thumbnail(_picture_uri(Image.fromarray(np.concatenate(strip, axis=1))))


def _waveform(file: MediaFile, region: Region | None, sound_seconds: float) -> Thumbnail:
    start, end = 0.0, _length(file) or LONGEST_SECONDS
    if isinstance(region, Span):
        start, end = region.start_seconds, region.end_seconds
    shown = Span(0, start, min(end, start + (sound_seconds or LONGEST_SECONDS)))
    sound = decode_audio(file, shown, channels=1)
    if sound.sample_rate not in MP3_RATES:
        sound = decode_audio(file, shown, channels=1, sample_rate=RATE)
    samples = np.abs(np.nan_to_num(sound.samples[0]))
    columns = np.linspace(0, len(samples), SIDE + 1).astype(int)
    heights = np.array([samples[a : max(a + 1, b)].max(initial=0.0) for a, b in pairwise(columns)])
    heights = np.repeat(heights / max(heights.max(), 1e-6), 2)
    rows = np.abs(np.linspace(-1, 1, SIDE))[:, None]
    canvas = np.zeros((SIDE, 2 * SIDE, 4), np.uint8)
    canvas[rows <= np.maximum(0.92 * heights, 0.02)[None]] = (*LOUD, 255)
    canvas[:, 1::2] = 0  # bars with gaps
    uri = _sound_uri(sound) if sound_seconds else ""
    return Thumbnail(_picture_uri(Image.fromarray(canvas), lossless=True), uri)


def _length(file: MediaFile) -> float:
    """Return the seconds that a sound or video lasts; 0 if that is not known.

    Raises:
        MediaError: it can't be opened.
        ValueError: it is too long, or its frames are too large.
    """
    info = probe(file)
    seconds, pixels = info.duration_seconds or 0.0, (info.width or 0) * (info.height or 0)
    if seconds > MAX_SECONDS or pixels > MAX_PIXELS:
        raise ValueError(f"{seconds} seconds of {pixels} pixels are more than can be shown")
    return seconds


def _small(pixels: np.ndarray) -> Image.Image:
    """Return a picture ``SIDE`` high at most, no more than twice as wide; tiny ones in squares."""
    picture = Image.fromarray(pixels)
    times = SIDE // max(picture.size)
    if times > 1:
        size = (picture.width * times, picture.height * times)
        return picture.resize(size, Image.Resampling.NEAREST)
    picture.thumbnail((2 * SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def _picture_uri(picture: Image.Image, quality: int = 60, lossless: bool = False) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=2, lossless=lossless)
    return URI + base64.b64encode(buffer.getvalue()).decode()


def _sound_uri(sound: Waveform) -> str:
    """Return short sounds as WAV, which is exact, and longer ones as MP3, which is small."""
    samples = np.clip(sound.samples[0], -1, 1)
    kind, mime = ("WAV", "wav") if len(samples) <= WAV_SAMPLES else ("MP3", "mpeg")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sound.sample_rate, format=kind)
    return f"data:audio/{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


MAKERS: dict[Display, Callable[[MediaFile, Region | None, float], Thumbnail]] = {
    "picture": _picture,
    "waveform": _waveform,
    "frames": _frames,
}
