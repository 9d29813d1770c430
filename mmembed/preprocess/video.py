"""Clips to the values of a video encoder: a few frames a span, at uniform times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from mmembed.errors import ConfigError
from mmembed.media.file import MediaFile, Source, opened
from mmembed.media.packet_index import packet_index
from mmembed.media.probe import check_truncated, probe
from mmembed.media.spans import AnySpan, Span, evenly, steady_times, uniform_times
from mmembed.media.video import Clip, decode_clips
from mmembed.modality import Modality
from mmembed.preprocess.base import LEFT_OUT_IF_USUAL
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.spanned import SpannedPreprocess

FRAMES_BUCKET = 8


@dataclass(frozen=True)
class VideoPreprocess(SpannedPreprocess):
    """A clip to values ``(frames, 3, size, size)`` of uint8.

    A clip with fewer distinct frames than asked for yields fewer values; the batch pads them and
    masks the rest.

    Args:
        image: how each frame is resized and normalised.
        frames: number of frames a span, at the midpoints of as many equal parts; with ``fps``, the
            most of a span: of more, so many that lie evenly among them are taken.
        fps: frames a second from the start of the span on (1 or 2 is what many models of long
            videos see), or ``all`` for every frame that is stored; None for ``frames`` of each.
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
    fps: float | Literal["all"] | None = field(default=None, metadata=LEFT_OUT_IF_USUAL)

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError(f"VideoPreprocess: frames {self.frames} must be at least 1")
        if self.fps not in (None, "all") and not 0 < float(self.fps or 0) < math.inf:
            raise ConfigError(f"VideoPreprocess: fps {self.fps} must be positive, all, or left out")
        self._check_spans()

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> Clip:
        """Decode the frames at uniform times of a file or of one span of it."""
        with opened(source) as file:
            return next(self._clips(file, [span], allow_truncated))

    def stream(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterator[Clip]:
        """Yield the frames of each span, decoded forward once for all of them."""
        with opened(source) as file:
            yield from self._clips(file, spans, False)

    def _clips(
        self, file: MediaFile, spans: Sequence[AnySpan | None], allow_truncated: bool
    ) -> Iterator[Clip]:
        info = probe(file)
        begin, end = self.begin_and_end(info)
        whole = Span(0, begin, end or begin)
        cuts = [span if isinstance(span, Span) else whole for span in spans]
        stored = packet_index(file).frame_times() if self.fps == "all" else np.zeros(0)
        times = [self._times(stored, span) for span in cuts]
        clips = decode_clips(file, times, min_side=self.image.size, allow_truncated=allow_truncated)
        for span, clip in zip(cuts, clips, strict=True):
            if not allow_truncated:
                check_truncated(file.name, info, span.end_seconds)
            yield clip

    def __call__(self, media: Clip) -> np.ndarray:
        """Return values ``(valid frames, 3, size, size)`` of uint8, repeats dropped."""
        _, first = np.unique(media.pts_seconds, return_index=True)
        return np.stack([self.image(media.frames[i]) for i in np.sort(first)])

    def padded_length(self, length: int) -> int:
        """Return ``frames``; where they vary, ``length`` rounded up to a multiple of 8."""
        if self.fps is None:
            return max(length, self.frames)
        return math.ceil(max(1, length) / FRAMES_BUCKET) * FRAMES_BUCKET

    def _times(self, stored: np.ndarray, span: Span) -> list[float]:
        """Return the times of the frames to take of a span, in seconds, of those ``stored``."""
        if self.fps is None:
            return uniform_times(span, self.frames)
        if self.fps != "all":
            return steady_times(span, self.fps, self.frames)
        first, stop = np.searchsorted(stored, (span.start_seconds, span.end_seconds))
        inside = stored[first:stop]
        if not len(inside):  # one frame is shown all the time
            return [span.start_seconds]
        return [float(inside[index]) for index in evenly(len(inside), self.frames)]
