"""Messages of the decode worker: a request for a file, and its values or why it has none."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mmembed.errors import Stage
from mmembed.media.spans import Span
from mmembed.paths import RemotePath

SEND_BYTES = 4 << 20


@dataclass(frozen=True)
class DecodeFailure:
    """The reason why a file has no vector; a row of ``_errors``.

    Attributes:
        stage: list, probe, decode or encode.
        error: class name of the error.
        message: what was wrong.
        decoder: the library or codec that refused, if one was reached.
        attempts: how often it was tried.
        modality: what the file is, where that is known.
        advice: options that help, as of :class:`~mmembed.errors.MmembedError`.
    """

    stage: Stage
    error: str
    message: str
    decoder: str = ""
    attempts: int = 1
    modality: str | None = None
    advice: str = ""


@dataclass(frozen=True)
class DecodeRequest:
    """A file to decode.

    Attributes:
        location: the file.
        modality: what it is to be embedded as; None to go by its content.
        first: the first span wanted; those before it were decoded already.
    """

    location: str | RemotePath
    modality: str | None = None
    first: int = 0


@dataclass
class Segments:
    """The values of some spans of a file, all of one modality.

    Attributes:
        modality: what the spans are embedded as.
        count: number of spans of the whole file, in all modalities.
        spans: the spans decoded here, from ``DecodeRequest.first`` on; None for a file taken whole.
        values: the values of each, as :class:`~mmembed.preprocess.base.Preprocess` returns them.
        taken: number of spans that are dealt with here; more than there are values where the
            file stops before the end that its header declares.
        truncated: that it does.
    """

    modality: str
    count: int
    spans: list[Span | None] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    taken: int = 0
    truncated: bool = False

    @property
    def size_bytes(self) -> int:
        """Memory that the values take."""
        return sum(v.nbytes for v in self.values)
