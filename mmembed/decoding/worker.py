"""Items to values, as a decode worker does it: probe, check limits, cut, load, preprocess.

It runs in processes that never load torch, on a few files at a time, and stops early where the
values of long media would take too much memory. It knows nothing of models, of batches or of the
process it runs in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mmembed.decoding.messages import SEND_BYTES, DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.region_values import load_regions
from mmembed.errors import MediaError, Stage, TruncatedError
from mmembed.media.file import MediaFile
from mmembed.media.image import limit_pixels
from mmembed.media.limits import MAX_PIXELS, MAX_SECONDS
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.spans import AnySpan, Span
from mmembed.preprocess.base import Preprocess


@dataclass(frozen=True)
class Decoder:
    """Decodes some files: segments or a failure for each, in order, until ``send_bytes`` are full.

    The answer may be shorter than the requests, and its last segments may lack spans; ask again for
    what is missing.

    Args:
        preprocess: by field; files of other modalities are problems.
        send_bytes: about how much values may take; one file's first spans are always taken.
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

    def __call__(self, requests: Sequence[DecodeRequest]) -> list[Segments | DecodeFailure]:
        """Return an answer for each request that was begun; any error of a file is its own."""
        limit_pixels(self.max_pixels)
        answers: list[Segments | DecodeFailure] = []
        room = self.send_bytes
        for request in requests:
            if room <= 0:
                break
            answer = self._decode(request, room)
            answers.append(answer)
            room -= answer.size_bytes if isinstance(answer, Segments) else 0
        return answers

    def _decode(self, request: DecodeRequest, room: int) -> Segments | DecodeFailure:
        stage: Stage = "probe"
        modality = self._kind(request.field)
        try:
            with self._opened(request) as file:
                info = probe(file)
                modality = modality or info.modality
                field = request.field or self._field_of(info.modality)
                refusal = self._refusal(field, info)
                if field is None or refusal:
                    return DecodeFailure("probe", "MediaError", refusal, modality=modality)
                self._check_limits(file, info)
                stage = "decode"
                if request.regions:
                    load_span = partial(self._load_span, field, file)
                    preprocess = self.preprocess[field]
                    return load_regions(file, request, preprocess, info, room, load_span)
                return self._load(file, request, field, info, room)
        except Exception as error:
            return DecodeFailure.of(error, stage, modality)

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
        self, file: MediaFile, request: DecodeRequest, field: str, info: MediaInfo, room: int
    ) -> Segments | DecodeFailure:
        spans = list(self._spans(request, field, info))
        modality = self.preprocess[field].modality
        if not spans:
            return DecodeFailure("decode", "MediaError", "is too short to embed", modality=modality)
        if request.first >= len(spans):
            message = "changed while it was being read. Run again."
            return DecodeFailure("decode", "MediaError", message, modality=modality)
        name = spans[request.first][0]
        preprocess = self.preprocess[name]
        about = replace(info, text=None)
        segments = Segments(preprocess.modality, len(spans), field_name=name, info=about)
        together = preprocess.together(info)
        wanted = [span for other, span in spans[request.first :] if other == name]
        for media, span, truncated in self._loaded(name, file, wanted, together):
            if media is not None:
                segments.add(span, preprocess(media), preprocess.words(media))
                room -= segments.values[-1].nbytes
            segments.taken += 1
            if truncated:
                segments.truncated = True
                segments.taken = len(wanted)
                break
            whole = segments.taken % together == 0
            if whole and segments.values and room < together * segments.values[-1].nbytes:
                break
        return segments

    def _loaded(
        self, field: str, file: MediaFile, spans: list[AnySpan | None], together: int
    ) -> Iterator[tuple[Any, AnySpan | None, bool]]:
        """Yield what spans hold, as :meth:`_load_span` does it for one.

        They are decoded ``together``, always the same ones, so that what a file gives does not
        depend on where its pieces end; if that fails, one by one, for each to say its own.
        """
        for start in range(0, len(spans), together):
            few = spans[start : start + together]
            media: list[Any] = []
            with suppress(MediaError):
                media = self.preprocess[field].load_spans(file, few) if len(few) > 1 else []
            if media:
                yield from ((each, span, False) for each, span in zip(media, few, strict=True))
            else:
                yield from (self._load_span(field, file, span) for span in few)

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
