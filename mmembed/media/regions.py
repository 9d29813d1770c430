"""Regions of a file, a span of time or a box of a picture, and their names.

The name of a region is that of a W3C media fragment: ``t=12.5,15`` is from 12.5 to 15 seconds,
``xywh=10,20,30,40`` a box of 30 × 40 pixels at (10, 20). It says the numbers exactly, so that the
same region has the same name. This module knows nothing of manifests or decoders.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf, isfinite

from mmembed.media.spans import Box, Span

Region = Span | Box
TIME, PIXELS = "t=", "xywh="
OF_REGION = "\0"  # stands between a path and the name of a region; no path holds it


def region_name(region: Region) -> str:
    """Return the name of a region; of a span, whatever its index."""
    if isinstance(region, Span):
        return TIME + ",".join(map(written, (region.start_seconds, region.end_seconds)))
    return PIXELS + ",".join(map(written, (region.x, region.y, region.width, region.height)))


def region_named(name: str) -> Region:
    """Return the region of a name that :func:`region_name` returned, a span with the index 0.

    Raises:
        ValueError: it is no such name.
    """
    kind, _, rest = name.partition("=")
    numbers = [float(number) for number in rest.split(",")]
    if f"{kind}=" == TIME and len(numbers) == 2:
        return Span(0, *numbers)
    if f"{kind}=" == PIXELS and len(numbers) == 4:
        return Box(*numbers)
    raise ValueError(f"{name!r} is no region")


def region_order(name: str | None) -> tuple[float, ...]:
    """Return what sorts the regions of a file by name: all of it first, spans by their time."""
    if name is None:
        return ()
    with suppress(ValueError):
        numbers = tuple(float(number) for number in name.partition("=")[2].split(","))
        if all(map(isfinite, numbers)):
            return numbers
    return (inf,)  # no file can have it


def box_fault(box: Box, width: int, height: int) -> str:
    """Return why a picture of ``width`` × ``height`` pixels has no such box; empty if it has."""
    left, top, right, bottom = box.edges
    said = ",".join(map(written, (box.x, box.y, box.width, box.height)))
    if right <= left or bottom <= top:
        return f"{said} holds no pixel"
    if left < 0 or top < 0 or right > width or bottom > height:
        return f"{said} reaches beyond the picture of {width} × {height} pixels"
    return ""


def written(number: float) -> str:
    """Return a number as short as it can be said exactly: ``12.5``, ``15``."""
    return repr(float(number) + 0.0).removesuffix(".0")  # of -0.0, 0


def item_of(path: str, region: str | None) -> str:
    """Return a name of a file, or of a region of it, that no other one has."""
    return path if region is None else f"{path}{OF_REGION}{region}"


def path_and_region(item: str) -> tuple[str, Region | None]:
    """Return the path and the region that :func:`item_of` put together."""
    path, separator, name = item.rpartition(OF_REGION)
    if separator:
        with suppress(ValueError):  # a name of a file that no file can have
            return path, region_named(name)
    return item, None
