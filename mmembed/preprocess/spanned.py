"""The base of a preprocess whose files are cut into spans of time: sound and video."""

from __future__ import annotations

from mmembed.errors import ConfigError
from mmembed.media.probe import MediaInfo
from mmembed.media.spans import AnySpan, Span, cut
from mmembed.preprocess.base import Preprocess

LATE_SECONDS = 0.25  # tracks of one file seldom begin at the very same time


class SpannedPreprocess(Preprocess):
    """A preprocess of sound or video, with the spans that a file is cut into.

    Attributes:
        segment_seconds: length of a span.
        hop_seconds: distance between the starts of two spans.
        min_seconds: a tail shorter than this joins the span before it.
    """

    segment_seconds: float
    hop_seconds: float
    min_seconds: float

    def spans(self, info: MediaInfo) -> list[AnySpan | None]:
        """Return the spans of a file; ``[None]``, the whole, where its length is not known.

        They begin with the file, or with the track where that begins ``min_seconds`` later.
        """
        begin, end = self.begin_and_end(info)
        return [None] if end is None else [*self.spans_between(0.0, end, begin)]

    def spans_between(self, start: float, end: float, begin: float) -> list[Span]:
        """Return the spans of a part of a file, as if it were cut out, on the clock of the file.

        Args:
            start: seconds where the part starts.
            end: seconds where it ends, no later than the file.
            begin: seconds where the track begins, before ``end``.
        """
        if begin - start >= max(self.min_seconds, LATE_SECONDS):
            start = begin
        spans = cut(end - start, self.segment_seconds, self.hop_seconds, self.min_seconds)
        ends = [*(start + span.end_seconds for span in spans[:-1]), end]
        return [
            Span(span.index, start + span.start_seconds, stop)
            for span, stop in zip(spans, ends, strict=True)
        ]

    def begin_and_end(self, info: MediaInfo) -> tuple[float, float | None]:
        """Return when what this preprocess takes of a file begins and ends, in seconds."""
        return info.begin_seconds, info.duration_seconds

    def _check_spans(self) -> None:
        length, hop, least = self.segment_seconds, self.hop_seconds, self.min_seconds
        if not (0 < hop <= length and 0 <= least <= length):
            raise ConfigError(
                f"{type(self).__name__}: needs 0 < hop_seconds <= segment_seconds and "
                f"min_seconds <= segment_seconds, got {hop}, {length} and {least}"
            )
