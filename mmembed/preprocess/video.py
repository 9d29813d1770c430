"""Clips to the values of a video encoder: a few frames a span, at uniform times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mmembed.errors import ConfigError
from mmembed.media.file import MediaFile, Source, opened
from mmembed.media.probe import check_truncated, probe
from mmembed.media.spans import AnySpan, Span, uniform_times
from mmembed.media.video import Clip, decode_clips
from mmembed.modality import Modality
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.spanned import SpannedPreprocess


@dataclass(frozen=True)
class VideoPreprocess(SpannedPreprocess):
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

    image: ImagePreprocess = field(default_factory=ImagePreprocess)
    frames: int = 8
    segment_seconds: float = 10.0
    hop_seconds: float = 10.0
    min_seconds: float = 0.5

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError(f"VideoPreprocess: frames {self.frames} must be at least 1")
        self._check_spans()

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> Clip:
        """Decode the frames at uniform times of a file or of one span of it."""
        with opened(source) as file:
            return next(self._clips(file, [span], allow_truncated))

    def stream(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterator[Clip]:
        """Decode the frames of spans in the order of their starts, in one pass over the file."""
        with opened(source) as file:
            yield from self._clips(file, spans, False)

    def _clips(
        self, file: MediaFile, spans: Sequence[AnySpan | None], allow_truncated: bool
    ) -> Iterator[Clip]:
        info = probe(file)
        begin, end = self.begin_and_end(info)
        whole = Span(0, begin, end or begin)
        cuts = [span if isinstance(span, Span) else whole for span in spans]
        times = [uniform_times(span, self.frames) for span in cuts]
        clips = decode_clips(
            file, times, min_side=self.image.size, allow_truncated=allow_truncated
        )
        for span, clip in zip(cuts, clips, strict=True):
            if not allow_truncated:
                check_truncated(file.name, info, span.end_seconds)
            yield clip

    def __call__(self, media: Clip) -> np.ndarray:
        """Return values ``(valid frames, 3, size, size)`` of uint8, repeats dropped."""
        _, first = np.unique(media.pts_seconds, return_index=True)
        return np.stack([self.image(media.frames[i]) for i in np.sort(first)])

    def padded_length(self, length: int) -> int:
        """Return ``frames``: all clips of a space have the same padded length."""
        return max(length, self.frames)
