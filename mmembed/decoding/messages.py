"""Messages of the decode worker: a request for an item, and its values or why it has none."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from mmembed.errors import MediaError, Stage
from mmembed.media.file import MediaInfo
from mmembed.media.regions import Region
from mmembed.media.spans import AnySpan
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

    @classmethod
    def of(cls, error: Exception, stage: Stage, modality: str | None) -> DecodeFailure:
        """Return an error of a file as data; ``stage`` counts where the error does not say its."""
        if isinstance(error, MediaError):
            by, advice = error.decoder, error.advice
            return cls(error.stage, "MediaError", error.message, by, 1, modality, advice)
        if isinstance(error, MemoryError):
            message = "needs more memory than a decode worker may take. Raise that limit."
            return cls(stage, "MemoryError", message, modality=modality, advice="memory_mb")
        message = str(error) or "no message"
        return cls(stage, type(error).__name__, message, modality=modality)


@dataclass(frozen=True)
class RegionRequest:
    """A region of a file to decode.

    Attributes:
        number: comes back with its spans.
        region: a span of time, or a box.
        where: names the row of the manifest in errors.
        first: the first segment of it that is wanted, as of a request.
    """

    number: int
    region: Region
    where: str
    first: int = 0


@dataclass(frozen=True)
class DecodeRequest:
    """A file, or an item in a cell of a manifest, to decode.

    Attributes:
        location: the file; the manifest of an item in a cell.
        field: the field that is to embed it; None to go by its content.
        first: the first span wanted; those before it came out before a process was lost.
        content: the item in a cell; None for a file.
        regions: of the file that are wanted; empty for all of it.
        one_by_one: whether to say of each segment of a region that it is begun, and to give it away
            at once, so that it shows which one a process is lost over.
    """

    location: str | RemotePath
    field: str | None = None
    first: int = 0
    content: str | None = None
    regions: tuple[RegionRequest, ...] = ()
    one_by_one: bool = False


@dataclass
class Segments:
    """The values of some spans of a file, or of regions of it, all for one field.

    Attributes:
        modality: what the spans are embedded as.
        count: number of spans of the whole file, for all fields.
        spans: the spans decoded here, in order; None for a file taken whole.
        values: the values of each, as :class:`~mmembed.preprocess.base.Preprocess` returns them.
        taken: number of spans that are dealt with here; more than there are values where the
            file stops before the end that its header declares.
        truncated: that it does.
        field_name: the field, where it is not called as the modality.
        words: the words of each, as :meth:`~mmembed.preprocess.base.Preprocess.words` says them.
        info: size, length and rates of the file, without its text.
        numbers: the number of the region of each span, where regions were asked for.
        begun: the number of the region that is decoded next, if it was asked ``one_by_one``.
        done: the numbers of the regions that are dealt with, with or without success.
        failures: by number of a region, why it has no values.
        short: the numbers of the regions that reach beyond what there is of a truncated file.
    """

    modality: str
    count: int
    spans: list[AnySpan | None] = dataclasses.field(default_factory=list)
    values: list[np.ndarray] = dataclasses.field(default_factory=list)
    taken: int = 0
    truncated: bool = False
    field_name: str = ""
    words: list[str | None] = dataclasses.field(default_factory=list)
    info: MediaInfo | None = None
    numbers: list[int] = dataclasses.field(default_factory=list)
    begun: int | None = None
    done: list[int] = dataclasses.field(default_factory=list)
    failures: dict[int, DecodeFailure] = dataclasses.field(default_factory=dict)
    short: list[int] = dataclasses.field(default_factory=list)

    def add(self, span: AnySpan | None, values: np.ndarray, words: str | None) -> None:
        """Add what a span holds."""
        self.spans.append(span)
        self.values.append(values)
        self.words.append(words)

    @property
    def field(self) -> str:
        """The field that the spans are for."""
        return self.field_name or self.modality

    @property
    def size_bytes(self) -> int:
        """Memory that the values take."""
        return sum(v.nbytes for v in self.values)

    def extend(self, more: Segments) -> None:
        """Add the spans that follow, for the same field."""
        self.spans += more.spans
        self.values += more.values
        self.words += more.words
        self.taken += more.taken
        self.truncated |= more.truncated
        self.numbers += more.numbers
        self.done += more.done
        self.failures |= more.failures
        self.short += more.short


Answer = Segments | DecodeFailure
