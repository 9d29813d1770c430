"""Regions that a manifest asks for, as the spans that a preprocess loads, or why it can't.

A region is treated as the file that it would be if it were cut out: a span longer than the
preprocess's segments is cut into segments, each at its place on the clock of the whole file.
"""

from __future__ import annotations

from mmembed.errors import MediaError
from mmembed.media.probe import MediaInfo
from mmembed.media.regions import Region, box_fault, written
from mmembed.media.spans import AnySpan, Box, Span, cut
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.spanned import SpannedPreprocess

SLACK_SECONDS = 0.05  # an end so little behind that of the file is the file's: times are rounded


def region_spans(
    preprocess: Preprocess, info: MediaInfo, region: Region, name: str, where: str
) -> list[AnySpan]:
    """Return what to load of a file for a region of it: segments of a span, or a box.

    Args:
        preprocess: that is to load it.
        info: what the file is.
        region: that the manifest asks for.
        name: of the file, for errors.
        where: names the row of the manifest in errors.

    Raises:
        MediaError: the file has no such region, or the preprocess takes none of the kind.
    """
    if isinstance(region, Box):
        fault = "" if preprocess.takes_boxes else f"no box of {preprocess.modality} is embedded"
        if info.width and info.height:
            fault = fault or box_fault(region, info.width, info.height)
        if fault:
            raise MediaError(name, "probe", f"{where}, column box: {fault}")
        return [region]
    if not isinstance(preprocess, SpannedPreprocess):
        message = f"{where}, column start_s: no span of {preprocess.modality} is embedded"
        raise MediaError(name, "probe", message)
    start, end = region.start_seconds, region.end_seconds
    duration = preprocess.duration_seconds(info)
    if duration is not None:
        late = "start_s" if start >= duration else "end_s"
        if late == "start_s" or end > duration + SLACK_SECONDS:
            time = written(start if late == "start_s" else end)
            message = f"{where}, column {late}: {time} is beyond the end, at {duration:.2f} s"
            raise MediaError(name, "probe", message)
        end = min(end, duration)
    seconds = preprocess.segment_seconds, preprocess.hop_seconds, preprocess.min_seconds
    pieces = cut(end - start, *seconds)
    starts = [start + piece.start_seconds for piece in pieces]
    ends = [*(start + piece.end_seconds for piece in pieces[:-1]), end]
    return [Span(i, a, b) for i, (a, b) in enumerate(zip(starts, ends, strict=True))]
