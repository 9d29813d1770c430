"""Values of the regions of one file, which is decoded once for those that lie close together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, RegionRequest, Segments
from mmembed.errors import MediaError
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo
from mmembed.media.spans import AnySpan, Span, runs
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.regions import region_spans
from mmembed.preprocess.spanned import SpannedPreprocess

BOX_ROOM = 8  # times the room of spans: a picture is decoded again for the next piece
Piece = tuple[AnySpan, RegionRequest]
LoadSpan = Callable[[AnySpan], tuple[Any, AnySpan | None, bool]]


def load_regions(
    file: MediaFile,
    request: DecodeRequest,
    preprocess: Preprocess,
    info: MediaInfo,
    room: int,
    load_span: LoadSpan,
) -> Segments:
    """Return the values of regions of a file, in the order of time, as far as there is room.

    A region that can't be had is a failure of its own; the others go on.

    Args:
        file: to decode.
        request: with regions.
        preprocess: of the field that embeds them.
        info: what the file is.
        room: bytes that values may take; spans that are decoded at once are all taken.
        load_span: returns what a span holds, the span as far as the file goes, and if that is not
            all; what it holds is None where nothing is left.
    """
    field = request.field or ""
    made = Segments(preprocess.modality, 0, field_name=field, info=replace(info, text=None))
    pieces = _pieces(file, request, preprocess, info, made)
    spanned = isinstance(preprocess, SpannedPreprocess)
    room *= 1 if spanned else BOX_ROOM
    taken = request.first
    for run in _runs(pieces[taken:], preprocess, info):
        media: list[Any] = []
        with suppress(Exception):  # then one by one, for each to say its own
            media = preprocess.load_spans(file, [span for span, _ in run]) if len(run) > 1 else []
        for place, (span, each) in enumerate(run):
            if room <= 0 and place and not spanned:
                break
            taken += 1
            if each.number in made.failures:
                continue
            try:
                loaded, there, short = (media[place], span, False) if media else load_span(span)
                made.short += [each.number] * short
                if loaded is not None:
                    made.add(there, preprocess(loaded), preprocess.words(loaded))
                    made.numbers.append(each.number)
                    room -= made.values[-1].nbytes
            except Exception as error:
                failure = DecodeFailure.of(error, "decode", preprocess.modality)
                made.failures[each.number] = failure
        if room <= 0:
            break
    left = {each.number for _, each in pieces[taken:]} - made.failures.keys()
    made.done = [each.number for each in request.regions if each.number not in left]
    if left:
        regions = tuple(each for each in request.regions if each.number in left)
        first = sum(each.number in left for _, each in pieces[:taken])
        made.rest = replace(request, regions=regions, first=first)
    return made


def _pieces(
    file: MediaFile,
    request: DecodeRequest,
    preprocess: Preprocess,
    info: MediaInfo,
    made: Segments,
) -> list[Piece]:
    """Return what to load for all regions, in the order of time; note those that are not there."""
    pieces: list[Piece] = []
    for each in request.regions:
        try:
            spans = region_spans(preprocess, info, each.region, file.name, each.where)
        except MediaError as error:
            made.failures[each.number] = DecodeFailure.of(error, "probe", preprocess.modality)
        else:
            pieces += [(span, each) for span in spans]
    return sorted(pieces, key=_start)


def _start(piece: Piece) -> float:
    return piece[0].start_seconds if isinstance(piece[0], Span) else 0.0


def _runs(
    pieces: Sequence[Piece], preprocess: Preprocess, info: MediaInfo
) -> Iterator[Sequence[Piece]]:
    """Yield pieces to be decoded at once: boxes all, spans those that lie close together."""
    if not isinstance(preprocess, SpannedPreprocess):
        yield pieces
        return
    more = preprocess.together(info) - 1
    most_seconds = preprocess.segment_seconds + more * preprocess.hop_seconds
    start = 0
    for run in runs((span for span, _ in pieces if isinstance(span, Span)), most_seconds):
        yield pieces[start : start + len(run)]
        start += len(run)
