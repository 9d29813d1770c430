"""Sounds to the values of an audio encoder: mono samples of one rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import numpy as np

from mmembed.errors import ConfigError
from mmembed.media.audio import Waveform, convert, decode_audio
from mmembed.media.probe import MediaInfo, Source, probe
from mmembed.media.spans import AnySpan, Span
from mmembed.modality import Modality
from mmembed.preprocess.spanned import SpannedPreprocess

TOGETHER_BYTES = 32 << 20  # of sound as it is in the file
TOGETHER_VALUES = 1 << 20


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

    def duration_seconds(self, info: MediaInfo) -> float | None:
        """Return the length of a sound, or of the sound track of a video, in seconds."""
        track = info.sound_seconds if info.modality == "video" else None
        return info.duration_seconds if track is None else track

    def stream(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterator[Waveform]:
        """Yield the sound of each span, of which a few are decoded in one go.

        They are always the same ones, so that a sound does not depend on where a stream begins.
        """
        together = self._together(probe(source)) if len(spans) > 1 else 1
        for _, few in groupby(spans, lambda span: span.index // together if span else 0):
            yield from self._load_together(source, list(few))

    def _together(self, info: MediaInfo) -> int:
        """Return how many spans to decode at once: some formats read all that lies before them."""
        second = 4 * (info.sample_rate or 0) * (info.channels or 0)
        if not second:
            return 1
        read = 1 + (TOGETHER_BYTES / second - self.segment_seconds) / self.hop_seconds
        kept = TOGETHER_VALUES / (self.segment_seconds * self.sample_rate)
        return max(1, int(min(read, kept)))

    def _load_together(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterable[Waveform]:
        cuts = [span for span in spans if isinstance(span, Span)]
        seconds = sum(span.length_seconds for span in cuts)
        if len(cuts) < 2 or cuts[-1].end_seconds - cuts[0].start_seconds > seconds + 1e-6:
            return (self.load(source, span) for span in spans)
        begin, rate = cuts[0].start_seconds, self.sample_rate
        end = max(span.end_seconds for span in cuts)
        samples = self.load(source, Span(cuts[0].index, begin, end)).samples
        ranges = [(round(s.start_seconds * rate), round(s.end_seconds * rate)) for s in cuts]
        first = ranges[0][0]
        if ranges[-1][0] - first >= samples.shape[1]:  # the file ends sooner: let that span say so
            return (self.load(source, span) for span in spans)
        return [Waveform(samples[:, a - first : b - first], rate, a / rate) for a, b in ranges]
