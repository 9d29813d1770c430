"""Items to values, as a decode worker does it: probe, check limits, cut, load, preprocess.

It runs in processes that never load torch, on a few files at a time, and gives the values of long
media away in pieces while it goes on. It knows nothing of models, of batches or of the process it
runs in.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from mmembed.decoding.messages import (
    SEND_BYTES,
    Answer,
    DecodeFailure,
    DecodeRequest,
    Segments,
)
from mmembed.decoding.region_values import region_values
from mmembed.errors import MediaError, Stage, TruncatedError
from mmembed.media import progress
from mmembed.media.file import MediaFile
from mmembed.media.image import limit_pixels
from mmembed.media.limits import MAX_PIXELS, MAX_SECONDS
from mmembed.media.probe import MediaInfo, check_truncated, probe
from mmembed.media.spans import AnySpan, Span
from mmembed.preprocess.base import Preprocess


@dataclass(frozen=True)
class Decoder:
    """Decodes some files: pieces of answers, of ``send_bytes`` each, until all files are told.

    The answers come in the order of the files. A long file has several, in the same piece or the
    next ones, one for each field at least; its last one is a failure, or has its last span. It is
    opened and decoded once for all of them, and so it is for all regions of it.

    Args:
        preprocess: by field; files of other modalities are problems.
        send_bytes: about how much the values of a piece may take; one span at least is in it.
        max_pixels: pictures and videos with more pixels (a frame) are problems.
        max_seconds: sounds and videos that last longer are problems.
        allow_truncated: take what there is of a sound or video that stops early.
        with_sound: a video has the spans of its sound track too, after those of its pictures.
    """

    preprocess: Mapping[str, Preprocess]
    send_bytes: int = SEND_BYTES
    max_pixels: int = MAX_PIXELS
    max_seconds: float = MAX_SECONDS
    allow_truncated: bool = False
    with_sound: bool = False

    def __call__(self, requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        """Yield the answers to requests, piece by piece; any error of a file is its own."""
        limit_pixels(self.max_pixels)
        piece: list[Answer] = []
        size = 0
        for number, request in enumerate(requests):
            progress.begin(number)
            open_answer: Segments | None = None  # of this file, in this piece
            for answer in self._decode(request):
                if isinstance(answer, DecodeFailure):
                    piece.append(answer)
                    continue
                size += answer.size_bytes
                if open_answer is None or open_answer.field != answer.field:
                    piece.append(answer)
                    open_answer = answer
                else:
                    open_answer.extend(answer)
                no_room = size + answer.size_bytes > self.send_bytes  # for another like it
                if no_room or request.one_by_one:
                    yield piece
                    piece, size, open_answer = [], 0, None
        if piece:
            yield piece

    def _decode(self, request: DecodeRequest) -> Iterator[Answer]:
        """Yield segments of one span each, or of those missing at the end, or a failure."""
        stage: Stage = "probe"
        modality = self._kind(request.field)
        try:
            with self._opened(request) as file:
                info = probe(file)
                modality = modality or info.modality
                field = request.field or self._field_of(info.modality)
                refusal = self._refusal(field, info)
                if field is None or refusal:
                    yield DecodeFailure("probe", "MediaError", refusal, modality=modality)
                    return
                self._check_limits(file, info)
                if request.regions:
                    load, preprocess = partial(self._loaded, field, file), self.preprocess[field]
                    yield from region_values(file, request, preprocess, info, load)
                    return
                if not self.allow_truncated:
                    check_truncated(file.name, info, math.inf)
                stage = "decode"
                yield from self._load(file, request, field, info)
        except Exception as error:
            yield DecodeFailure.of(error, stage, modality)

    def _opened(self, request: DecodeRequest) -> MediaFile:
        if request.content is None:
            return MediaFile(request.location)
        kind = self._kind(request.field) or str(request.field)
        return MediaFile.of_cell(str(request.location), kind, request.content)

    def _kind(self, field: str | None) -> str | None:
        """Return the kind of a field; its name where there is none of that name."""
        known = None if field is None else self.preprocess.get(field)
        return field if known is None else known.modality

    def _field_of(self, kind: str) -> str | None:
        """Return the only field of a kind; None if there is none, or several."""
        fields = [field for field, each in self.preprocess.items() if each.modality == kind]
        return fields[0] if len(fields) == 1 else None

    def _refusal(self, field: str | None, info: MediaInfo) -> str:
        if field is None or field not in self.preprocess:
            known = ", ".join(self.preprocess)
            return f"is {field or info.modality}; only {known} is embedded here"
        kind = self.preprocess[field].modality
        sound_track = kind == "audio" and info.modality == "video" and info.has_audio
        if kind != info.modality and not sound_track:
            return f"is {info.modality} by its content, but the manifest says {field}"
        return ""

    def _check_limits(self, file: MediaFile, info: MediaInfo) -> None:
        name, pixels = file.name, (info.width or 0) * (info.height or 0)
        if pixels > self.max_pixels:
            size = f"{info.width} × {info.height} pixels, more than {self.max_pixels}"
            message = f"has {size}. Scale it down, or raise the limit of pixels."
            raise MediaError(name, "probe", message, advice="max_pixels")
        if (info.duration_seconds or 0.0) > self.max_seconds:
            length = f"{info.duration_seconds:.0f} s, more than {self.max_seconds:.0f} s"
            message = f"lasts {length}. Cut it, or raise the limit of length."
            raise MediaError(name, "probe", message, advice="max_duration")

    def _load(
        self, file: MediaFile, request: DecodeRequest, field: str, info: MediaInfo
    ) -> Iterator[Answer]:
        rows = list(self._spans(request, field, info))
        modality = self.preprocess[field].modality
        if not rows:
            yield DecodeFailure("decode", "MediaError", "is too short to embed", modality=modality)
        elif request.first >= len(rows):
            message = "changed while it was being read. Run again."
            yield DecodeFailure("decode", "MediaError", message, modality=modality)
        about = replace(info, text=None)
        for name, few in groupby(rows[request.first :], key=itemgetter(0)):
            preprocess = self.preprocess[name]
            spans = [span for _, span in few]
            made = partial(Segments, preprocess.modality, len(rows), field_name=name, info=about)
            with closing(self._loaded(name, file, spans)) as loaded:
                for taken, (media, span, truncated) in enumerate(loaded, 1):
                    one = made(truncated=truncated)
                    if media is not None:
                        one.add(span, preprocess(media), preprocess.words(media))
                    one.taken = len(spans) - taken + 1 if truncated else 1
                    if isinstance(span, Span):
                        progress.report(span.end_seconds)
                    yield one
                    if truncated:
                        break

    def _loaded(
        self, field: str, file: MediaFile, spans: list[AnySpan | None]
    ) -> Generator[tuple[Any, AnySpan | None, bool], None, None]:
        """Yield what spans hold, as :meth:`_load_span` does it for one, from one stream.

        A span that the stream fails at is loaded by itself, for it to say its own error; and a
        new stream goes on behind it.
        """
        done = 0
        while done < len(spans):
            progress.begin_again()
            if len(spans) - done > 1:
                with suppress(MediaError):
                    for media in self.preprocess[field].stream(file, spans[done:]):
                        yield media, spans[done], False
                        done += 1
            if done < len(spans):
                progress.begin_again()
                yield self._load_span(field, file, spans[done])
                done += 1

    def _load_span(
        self, field: str, file: MediaFile, span: AnySpan | None
    ) -> tuple[Any, AnySpan | None, bool]:
        """Return what a span holds, the span as far as the file goes, and if that is not all.

        Where a file stops early, a rest shorter than the preprocess's ``min_seconds`` is None.
        """
        preprocess = self.preprocess[field]
        try:
            return preprocess.load(file, span), span, False
        except TruncatedError as error:
            if not self.allow_truncated:
                raise
            if isinstance(span, Span):
                end = min(error.end_seconds, span.end_seconds)
                if span.index and end - span.start_seconds < max(preprocess.min_seconds, 1e-6):
                    return None, span, True
                if end <= span.start_seconds:
                    raise
                span = replace(span, end_seconds=end)
            return preprocess.load(file, span, allow_truncated=True), span, True

    def _spans(
        self, request: DecodeRequest, field: str, info: MediaInfo
    ) -> Iterator[tuple[str, AnySpan | None]]:
        """Yield field and span of each row that the file is to have."""
        for span in self.preprocess[field].spans(info):
            yield field, span
        heard = info.has_audio and info.sound_seconds != 0
        if self.with_sound and request.field is None and info.modality == "video" and heard:
            sound = self._field_of("audio")
            for span in self.preprocess[sound].spans(info) if sound else ():
                yield str(sound), span
