"""All that turns a media file into the values an encoder takes; numpy only.

A preprocess is a frozen dataclass: it is saved in ``space.json``, is part of a space's
fingerprint, and is cheap to send to decode workers (which therefore never load torch).
Normalisation by mean and standard deviation happens in the encoder, on its device; image and
video values stay ``uint8`` until then. It knows nothing of encoders, batches or training.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from mmembed.errors import ConfigError
from mmembed.media.audio import Waveform, convert, decode_audio
from mmembed.media.image import decode_image
from mmembed.media.probe import MediaInfo, Source, probe
from mmembed.media.segments import Span, cut, uniform_times
from mmembed.media.video import Clip, decode_video
from mmembed.modality import Modality

TOGETHER_BYTES = 32 << 20  # of sound as it is in the file
TOGETHER_VALUES = 1 << 20
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Preprocess(ABC):
    """All that turns one media file, or one span of it, into the values of one encoder."""

    modality: ClassVar[Modality]
    min_seconds = 0.0

    @abstractmethod
    def load(
        self, source: Source, span: Span | None = None, *, allow_truncated: bool = False
    ) -> Any:
        """Decode just what is needed of ``source`` (the whole, or one span).

        Raises:
            MediaError: the file can't be decoded.
            TruncatedError: a sound or video stops early, and ``allow_truncated`` is not given.
        """

    @abstractmethod
    def __call__(self, media: Any) -> np.ndarray:
        """Turn decoded media into values, the variable axis (if any) first."""

    def padded_length(self, length: int) -> int:
        """Return the length that ``length`` is padded to: a function of the item alone."""
        return length

    def bucket(self, values: np.ndarray) -> int | None:
        """Return the padded length of an item; None for pictures, which all have one shape."""
        return None if self.modality == "image" else self.padded_length(len(values))

    def spans(self, info: MediaInfo) -> list[Span | None]:
        """Return where a file is cut; ``[None]`` for one that is taken whole."""
        return [None]

    def together(self, info: MediaInfo) -> int:
        """Return how many spans :meth:`load_spans` takes best, a function of the file alone."""
        return 1

    def load_spans(self, source: Source, spans: Sequence[Span | None]) -> list[Any]:
        """Decode spans that follow one another, each as :meth:`load` does it."""
        return [self.load(source, span) for span in spans]


@dataclass(frozen=True)
class ImagePreprocess(Preprocess):
    """RGB picture ``(height, width, 3)`` to values ``(3, size, size)`` of uint8.

    Args:
        size: side of the square, in pixels.
        resize: ``crop`` scales the shorter side and cuts the centre out, ``pad`` scales the
            longer side and fills with black, ``squash`` ignores the aspect ratio.
        crop_fraction: share of the scaled picture's side that ``crop`` keeps (timm's
            ``crop_pct``).
        interpolation: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``, antialiased.
        mean: channel means, in units of 0–1, subtracted by the encoder.
        std: channel standard deviations, in units of 0–1, divided by the encoder.
    """

    modality: ClassVar[Modality] = "image"

    size: int = 224
    resize: Literal["crop", "pad", "squash"] = "crop"
    crop_fraction: float = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        if self.size < 1 or not 0 < self.crop_fraction <= 1 or min(self.std) <= 0:
            raise ConfigError(
                f"ImagePreprocess: size {self.size}, crop_fraction {self.crop_fraction} and "
                f"std {self.std} must be positive (crop_fraction at most 1)"
            )

    def load(
        self, source: Source, span: Span | None = None, *, allow_truncated: bool = False
    ) -> np.ndarray:
        """Decode a picture ``(height, width, 3)``, no larger than needed."""
        return decode_image(source, min_side=math.ceil(self.size / self.crop_fraction))

    def __call__(self, media: np.ndarray) -> np.ndarray:
        """Return values ``(3, size, size)`` of uint8 for a picture ``(height, width, 3)``."""
        height, width = media.shape[:2]
        if (height, width) != (self.size, self.size) or self.crop_fraction < 1:
            media = np.asarray(self._resized(Image.fromarray(media)))
        return np.ascontiguousarray(media.transpose(2, 0, 1))

    def _resized(self, picture: Image.Image) -> Image.Image:
        method = RESAMPLING[self.interpolation]
        width, height = picture.size
        if self.resize == "squash":
            return picture.resize((self.size, self.size), method)
        if self.resize == "pad":
            scale = self.size / max(width, height)
        else:
            scale = math.floor(self.size / self.crop_fraction) / min(width, height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        if (wide, high) != (width, height):
            picture = picture.resize((wide, high), method)
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        return picture.crop((left, top, left + self.size, top + self.size))


@dataclass(frozen=True)
class AudioPreprocess(Preprocess):
    """Sound of any rate and channels to mono values ``(samples,)`` of float32 in [-1, 1].

    Args:
        sample_rate: rate of the values, in Hz.
        segment_seconds: length of the spans that a file is cut into.
        hop_seconds: distance between the starts of two spans.
        min_seconds: a tail shorter than this joins the span before it.
        bucket_seconds: values are padded with silence to a multiple of this.
    """

    modality: ClassVar[Modality] = "audio"

    sample_rate: int = 16000
    segment_seconds: float = 10.0
    hop_seconds: float = 10.0
    min_seconds: float = 0.5
    bucket_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.bucket_seconds * self.sample_rate < 1:
            raise ConfigError(
                f"AudioPreprocess: sample_rate {self.sample_rate} and bucket_seconds "
                f"{self.bucket_seconds} must be positive"
            )
        _check_segments(self)

    def load(
        self, source: Source, span: Span | None = None, *, allow_truncated: bool = False
    ) -> Waveform:
        """Decode a file or one span of it at ``sample_rate``, mixed down to one channel."""
        return decode_audio(
            source,
            span,
            sample_rate=self.sample_rate,
            channels=1,
            allow_truncated=allow_truncated,
        )

    def __call__(self, media: Waveform) -> np.ndarray:
        """Return values ``(samples,)`` of float32 at ``sample_rate``."""
        mono = convert(media, sample_rate=self.sample_rate, channels=1)
        return np.ascontiguousarray(mono.samples[0], dtype=np.float32)

    def padded_length(self, length: int) -> int:
        """Return ``length`` in samples, rounded up to whole buckets (one at least)."""
        bucket = round(self.bucket_seconds * self.sample_rate)
        return max(1, math.ceil(length / bucket)) * bucket

    def spans(self, info: MediaInfo) -> list[Span | None]:
        """Return the segments of a sound, or of the sound track of a video."""
        track = info.sound_seconds if info.modality == "video" else None
        return _spans(self, info.duration_seconds if track is None else track)

    def together(self, info: MediaInfo) -> int:
        """Return how many spans to decode at once: some formats read all that lies before them."""
        second = 4 * (info.sample_rate or 0) * (info.channels or 0)
        if not second:
            return 1
        read = 1 + (TOGETHER_BYTES / second - self.segment_seconds) / self.hop_seconds
        kept = TOGETHER_VALUES / (self.segment_seconds * self.sample_rate)
        return max(1, int(min(read, kept)))

    def load_spans(self, source: Source, spans: Sequence[Span | None]) -> list[Waveform]:
        """Decode spans that follow one another, in one go."""
        cuts = [span for span in spans if span is not None]
        if len(cuts) < 2:
            return [self.load(source, span) for span in spans]
        begin, rate = cuts[0].start_seconds, self.sample_rate
        end = max(span.end_seconds for span in cuts)
        samples = self.load(source, Span(cuts[0].index, begin, end)).samples
        ranges = [(round(s.start_seconds * rate), round(s.end_seconds * rate)) for s in cuts]
        first = ranges[0][0]
        if ranges[-1][0] - first >= samples.shape[1]:  # the file ends sooner: let that span say so
            return [self.load(source, span) for span in spans]
        return [Waveform(samples[:, a - first : b - first], rate, a / rate) for a, b in ranges]


@dataclass(frozen=True)
class VideoPreprocess(Preprocess):
    """A clip to values ``(frames, 3, size, size)`` of uint8 at uniform times.

    A clip with fewer distinct frames than asked for yields fewer values; the batch pads them
    to ``frames`` and masks the rest.

    Args:
        image: how each frame is resized and normalised.
        frames: number of frames a span, at the midpoints of as many equal parts.
        segment_seconds: length of the spans that a file is cut into.
        hop_seconds: distance between the starts of two spans.
        min_seconds: a tail shorter than this joins the span before it.
    """

    modality: ClassVar[Modality] = "video"

    image: ImagePreprocess = ImagePreprocess()
    frames: int = 8
    segment_seconds: float = 10.0
    hop_seconds: float = 10.0
    min_seconds: float = 0.5

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError(f"VideoPreprocess: frames {self.frames} must be at least 1")
        _check_segments(self)

    def load(
        self, source: Source, span: Span | None = None, *, allow_truncated: bool = False
    ) -> Clip:
        """Decode the frames at uniform times of a file or of one span of it."""
        if span is None:
            span = Span(0, 0.0, probe(source).duration_seconds or 0.0)
        times = uniform_times(span, self.frames)
        return decode_video(
            source, times, min_side=self.image.size, allow_truncated=allow_truncated
        )

    def __call__(self, media: Clip) -> np.ndarray:
        """Return values ``(valid frames, 3, size, size)`` of uint8, repeats dropped."""
        _, first = np.unique(media.pts_seconds, return_index=True)
        return np.stack([self.image(media.frames[i]) for i in np.sort(first)])

    def padded_length(self, length: int) -> int:
        """Return ``frames``: all clips of a space have the same padded length."""
        return max(length, self.frames)

    def spans(self, info: MediaInfo) -> list[Span | None]:
        """Return the segments of a video of ``info.duration_seconds``."""
        return _spans(self, info.duration_seconds)


def _check_segments(preprocess: AudioPreprocess | VideoPreprocess) -> None:
    length, hop, least = (
        preprocess.segment_seconds,
        preprocess.hop_seconds,
        preprocess.min_seconds,
    )
    if not (0 < hop <= length and 0 <= least <= length):
        raise ConfigError(
            f"{type(preprocess).__name__}: needs 0 < hop_seconds <= segment_seconds and "
            f"min_seconds <= segment_seconds, got {hop}, {length} and {least}"
        )


def _spans(
    preprocess: AudioPreprocess | VideoPreprocess, duration_seconds: float | None
) -> list[Span | None]:
    if duration_seconds is None:
        return [None]
    return list(
        cut(
            duration_seconds,
            preprocess.segment_seconds,
            preprocess.hop_seconds,
            preprocess.min_seconds,
        )
    )
