"""Sounds to the values of an audio encoder: mono samples of one rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmembed.errors import ConfigError
from mmembed.media.audio import Waveform, convert, decode_audio, decode_spans
from mmembed.media.probe import MediaInfo, Source
from mmembed.media.spans import AnySpan, Span
from mmembed.modality import Modality
from mmembed.preprocess.spanned import SpannedPreprocess


@dataclass(frozen=True)
class AudioPreprocess(SpannedPreprocess):
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
        self._check_spans()

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> Waveform:
        """Decode a file or one span of it at ``sample_rate``, mixed down to one channel."""
        return decode_audio(
            source,
            span if isinstance(span, Span) else None,
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

    def length(self, info: MediaInfo, span: AnySpan | None) -> int:
        """Return the number of samples of a span; 0 where the length of a file is not known."""
        return round(span.length_seconds * self.sample_rate) if isinstance(span, Span) else 0

    def begin_and_end(self, info: MediaInfo) -> tuple[float, float | None]:
        """Return when a sound, or the sound track of a video, begins and ends, in seconds."""
        if info.modality == "video" and info.sound_seconds is not None:
            return info.sound_begin_seconds, info.sound_seconds
        return info.begin_seconds, info.duration_seconds

    def stream(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterator[Waveform]:
        """Yield the sound of each span, decoded forward once for all of them."""
        cuts = [span if isinstance(span, Span) else None for span in spans]
        yield from decode_spans(source, cuts, sample_rate=self.sample_rate, channels=1)
