"""Regions that a manifest asks for, as the spans that a preprocess loads, or why it can't.

A region is treated as the file that it would be if it were cut out: a span longer than the
preprocess's segments is cut into segments, each at its place on the clock of the whole file.
"""

from __future__ import annotations

from mmembed.errors import MediaError
from mmembed.media.probe import MediaInfo
from mmembed.media.regions import Region, box_fault, written
from mmembed.media.spans import AnySpan, Box, Span
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
    begin, last = preprocess.begin_and_end(info)
    if last is not None:
        column, fault = _time_fault(region, begin, last, info.declared_seconds)
        if fault:
            raise MediaError(name, "probe", f"{where}, column {column}: {fault}")
        end = min(end, last)
    return [*preprocess.spans_between(start, end, begin)]


def _time_fault(region: Span, begin: float, end: float, declared: float | None) -> tuple[str, str]:
    """Return which column asks for what a track has not, and why; nothing where it has all.

    A span may reach beyond the end of a file that stops early: loading it tells, or shortens it.
    """
    due = max(end, declared or 0.0)
    if region.end_seconds > due + SLACK_SECONDS and region.start_seconds < end:
        return "end_s", f"{written(region.end_seconds)} is beyond the end, at {due:.2f} s"
    if region.start_seconds >= end:
        said = f" of {due:.2f} s that its header declares" if due > end else ""
        return "start_s", f"{written(region.start_seconds)} is beyond the end, at {end:.2f} s{said}"
    if region.end_seconds <= begin:
        return "end_s", f"{written(region.end_seconds)} is before the begin, at {begin:.2f} s"
    return "", ""
