"""Files to values, as a decode worker does it: probe, cut, load, preprocess.

It runs in processes that never load torch, on a few files at a time, and stops early where the
values of long media would take too much memory. It knows nothing of models, of batches or of the
process it runs in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmembed.data.preprocess import Preprocess
from mmembed.errors import MediaError, Stage
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.segments import Span

SEND_BYTES = 8 << 20


@dataclass(frozen=True)
class Problem:
    """Why a file has no vector; a row of ``_errors``.

    Attributes:
        stage: list, probe, decode or encode.
        error: class name of the error.
        message: what was wrong.
        decoder: the library or codec that refused, if one was reached.
        attempts: how often it was tried.
        modality: what the file is, where that is known.
    """

    stage: Stage
    error: str
    message: str
    decoder: str = ""
    attempts: int = 1
    modality: str | None = None


@dataclass(frozen=True)
class Request:
    """A file to decode.

    Attributes:
        location: the file.
        modality: what it is to be embedded as; None to go by its content.
        first: the first span wanted; those before it were decoded already.
    """

    location: str
    modality: str | None = None
    first: int = 0


@dataclass
class Piece:
    """The values of some spans of a file.

    Attributes:
        modality: what the file is embedded as.
        count: number of spans of the whole file.
        spans: the spans decoded here, from ``Request.first`` on; None for a file taken whole.
        values: the values of each, as :class:`~mmembed.data.preprocess.Preprocess` returns them.
    """

    modality: str
    count: int
    spans: list[Span | None] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Memory that the values take."""
        return sum(v.nbytes for v in self.values)


@dataclass(frozen=True)
class Decoder:
    """Decodes some files: a piece or a problem for each, in order, until ``send_bytes`` are full.

    The answer may be shorter than the requests, and its last piece may lack spans; ask again for
    what is missing.

    Args:
        preprocess: by modality; files of other modalities are problems.
        send_bytes: no further span is begun when the values take this much.
    """

    preprocess: Mapping[str, Preprocess]
    send_bytes: int = SEND_BYTES

    def __call__(self, requests: Sequence[Request]) -> list[Piece | Problem]:
        """Return an answer for each request that was begun; any error of a file is its own."""
        answers: list[Piece | Problem] = []
        room = self.send_bytes
        for request in requests:
            if room <= 0:
                break
            answer = self._decode(request, room)
            answers.append(answer)
            room -= answer.size_bytes if isinstance(answer, Piece) else 0
        return answers

    def _decode(self, request: Request, room: int) -> Piece | Problem:
        stage: Stage = "probe"
        modality = request.modality
        try:
            info = probe(request.location)
            modality = modality or info.modality
            refusal = self._refusal(request.modality, info)
            if refusal:
                return Problem("probe", "MediaError", refusal, modality=modality)
            stage = "decode"
            return self._load(request, modality, info, room)
        except MediaError as error:
            return Problem(error.stage, "MediaError", error.message, error.decoder, 1, modality)
        except Exception as error:
            message = str(error) or "no message"
            return Problem(stage, type(error).__name__, message, modality=modality)

    def _refusal(self, wanted: str | None, info: MediaInfo) -> str:
        known = ", ".join(self.preprocess)
        if (wanted or info.modality) not in self.preprocess:
            return f"is {wanted or info.modality}; only {known} is embedded here"
        sound_track = wanted == "audio" and info.modality == "video" and info.has_audio
        if wanted not in (None, info.modality) and not sound_track:
            return f"is {info.modality} by its content, but the manifest says {wanted}"
        return ""

    def _load(self, request: Request, modality: str, info: MediaInfo, room: int) -> Piece | Problem:
        preprocess = self.preprocess[modality]
        spans = preprocess.spans(info)
        if not spans:
            return Problem("decode", "MediaError", "is too short to embed", modality=modality)
        piece = Piece(modality, len(spans))
        for span in spans[request.first :]:
            values = preprocess(preprocess.load(request.location, span))
            piece.spans.append(span)
            piece.values.append(values)
            room -= values.nbytes
            if room <= 0:
                break
        return piece
