"""Values of the regions of one file, which is decoded forward once for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, RegionRequest, Segments
from mmembed.errors import MediaError
from mmembed.media import progress
from mmembed.media.file import MediaFile, MediaInfo
from mmembed.media.spans import AnySpan, Span
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.regions import region_spans

Piece = tuple[AnySpan, RegionRequest]
Loaded = Generator[tuple[Any, AnySpan | None, bool], None, None]
Load = Callable[[list[AnySpan | None]], Loaded]


def region_values(
    file: MediaFile, request: DecodeRequest, preprocess: Preprocess, info: MediaInfo, load: Load
) -> Iterator[Segments]:
    """Yield the segments of regions of a file in the order of time, one each.

    A region that can't be had is a failure of its own; the others go on.

    Args:
        file: to decode.
        request: with regions.
        preprocess: of the field that embeds them.
        info: what the file is.
        load: yields what spans hold, one after another, with the span as far as the file goes, and
            if that is not all; what it holds is None where nothing is left. It raises what is wrong
            with the span that is due.
    """
    about = replace(info, text=None)
    made = partial(Segments, preprocess.modality, 0, field_name=request.field or "", info=about)
    pieces, failures = _pieces(file, request, preprocess, info)
    if failures:
        yield made(failures=failures, done=list(failures))
    left = Counter(each.number for _, each in pieces)
    while pieces:
        taken = 0
        try:
            with closing(load([span for span, _ in pieces])) as loaded:
                for _, each in pieces:
                    number = each.number
                    if request.one_by_one:
                        yield made(begun=number)
                    media, span, is_short = next(loaded)
                    one = made(taken=1, short=[number] * is_short)
                    if media is not None:
                        one.add(span, preprocess(media), preprocess.words(media))
                        one.numbers.append(number)
                    taken += 1
                    left[number] -= 1
                    if not left[number]:
                        one.done.append(number)
                    if isinstance(span, Span):
                        progress.report(span.end_seconds)
                    yield one
        except Exception as error:
            number = pieces[taken][1].number
            failure = DecodeFailure.of(error, "decode", preprocess.modality)
            yield made(failures={number: failure}, done=[number])
            pieces = [piece for piece in pieces[taken + 1 :] if piece[1].number != number]
        else:
            return


def _pieces(
    file: MediaFile, request: DecodeRequest, preprocess: Preprocess, info: MediaInfo
) -> tuple[list[Piece], dict[int, DecodeFailure]]:
    """Return what to load for all regions, in the order of time, and why others are not there."""
    pieces: list[Piece] = []
    failures: dict[int, DecodeFailure] = {}
    for each in request.regions:
        try:
            spans = region_spans(preprocess, info, each.region, file.name, each.where)
            if each.first >= len(spans):
                message = "changed while it was being read. Run again."
                raise MediaError(file.name, "decode", message)
        except MediaError as error:
            failures[each.number] = DecodeFailure.of(error, "probe", preprocess.modality)
        else:
            pieces += [(span, each) for span in spans[each.first :]]
    return sorted(pieces, key=_start), failures


def _start(piece: Piece) -> float:
    return piece[0].start_seconds if isinstance(piece[0], Span) else 0.0
