"""The base of every preprocess: a media file, or one span of it, to the values of one encoder.

A preprocess is a frozen dataclass: it is saved in ``space.json``, is part of a space's
fingerprint, and is cheap to send to decode workers (which therefore never load torch).
Normalisation by mean and standard deviation happens in the encoder, on its device; image and
video values stay ``uint8`` until then. It knows nothing of encoders, batches or training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmembed.media.probe import MediaInfo, Source
from mmembed.media.spans import Span
from mmembed.modality import Modality


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
