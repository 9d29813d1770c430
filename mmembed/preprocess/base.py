"""The base of every preprocess: an item, or one span of it, to the values of one encoder.

An item is a media file, or a cell of a manifest that holds a text or ids.

A preprocess is a frozen dataclass: it is saved in ``space.json``, is part of a space's
fingerprint, and is cheap to send to decode workers (which therefore never load torch).
Normalisation by mean and standard deviation happens in the encoder, on its device; image and
video values stay ``uint8`` until then. It knows nothing of encoders, batches or training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from mmembed.media.probe import MediaInfo, Source
from mmembed.media.spans import AnySpan
from mmembed.modality import Modality

LEFT_OUT_IF_USUAL = {"left_out_if_usual": True}
"""Metadata of a dataclass's field that a description names only where it isn't the default.

It is for fields that came later, so that spaces of before keep their fingerprint.
"""


class Preprocess(ABC):
    """All that turns one item, or one span of it, into the values of one encoder.

    Attributes:
        modality: the kind of the items.
        varies: whether values differ in length, so that a batch is padded and has a mask.
        is_fitted: whether it can be used; one that learns from data can't before it did.
        takes_boxes: whether :meth:`load` cuts a picture to a :class:`~mmembed.media.spans.Box`.
    """

    modality: ClassVar[Modality]
    varies: ClassVar[bool] = True
    takes_boxes: ClassVar[bool] = False
    min_seconds = 0.0
    is_fitted = True

    @abstractmethod
    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
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
        """Return the padded length of an item; None where all have one shape."""
        return self.padded_length(len(values)) if self.varies else None

    def fitted(self, items: Iterable[str]) -> Preprocess:
        """Return the preprocess, with all that it has to learn from the training items.

        Args:
            items: contents of the cells of its field, of the training split alone. A modality
                whose items are files gets their paths.

        Raises:
            MmembedError: nothing can be learnt from them.
        """
        return self

    def learnt(self) -> str:
        """Return what :meth:`fitted` learnt, such as ``tokenizer of 512 tokens``; empty if nothing.

        It stands in the line of ``fit`` that says so, after the name of the field.
        """
        return ""

    def words(self, media: Any) -> str | None:
        """Return the words of decoded media, for the column ``text``; None where it has none."""
        return None

    def length(self, info: MediaInfo, span: AnySpan | None) -> int:
        """Return about how long the values of a span are, so that batches are of like lengths."""
        return 0

    def spans(self, info: MediaInfo) -> list[AnySpan | None]:
        """Return where an item is cut; ``[None]`` for one that is taken whole."""
        return [None]

    def stream(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterator[Any]:
        """Yield the media of each span, each as :meth:`load` gives it, when it is asked for.

        Sounds and videos are decoded forward once for all of them.

        Args:
            source: a file, open until the last span was taken.
            spans: in order of time.

        Raises:
            MediaError: as :meth:`load`; it need not be of the span that is due.
        """
        for span in spans:
            yield self.load(source, span)
