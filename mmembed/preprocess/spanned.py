"""The base of a preprocess whose files are cut into spans of time: sound and video."""

from __future__ import annotations

from mmembed.errors import ConfigError
from mmembed.media.probe import MediaInfo
from mmembed.media.spans import AnySpan, cut
from mmembed.preprocess.base import Preprocess


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
        """Return the spans of a file; ``[None]``, the whole, where its length is not known."""
        duration = self.duration_seconds(info)
        if duration is None:
            return [None]
        return list(cut(duration, self.segment_seconds, self.hop_seconds, self.min_seconds))

    def duration_seconds(self, info: MediaInfo) -> float | None:
        """Return the length of what this preprocess takes of a file, in seconds."""
        return info.duration_seconds

    def _check_spans(self) -> None:
        length, hop, least = self.segment_seconds, self.hop_seconds, self.min_seconds
        if not (0 < hop <= length and 0 <= least <= length):
            raise ConfigError(
                f"{type(self).__name__}: needs 0 < hop_seconds <= segment_seconds and "
                f"min_seconds <= segment_seconds, got {hop}, {length} and {least}"
            )
