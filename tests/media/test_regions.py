"""Regions: their names say them exactly, and boxes lie on pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmembed.media.regions import (
    box_fault,
    item_of,
    path_and_region,
    region_name,
    region_named,
    region_order,
)
from mmembed.media.spans import Box, Span

NUMBERS = st.floats(0, 1e9, allow_nan=False)
REGIONS = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda each: Span(0, min(each), max(each))),
    st.builds(Box, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
)


@given(REGIONS, REGIONS)
def test_a_region_has_one_name_that_says_it_exactly(one: Span | Box, other: Span | Box) -> None:
    assert region_named(region_name(one)) == one
    assert (region_name(one) == region_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("region", "name"),
    [
        (Span(3, 12.5, 15.0), "t=12.5,15"),
        (Span(0, 0.0, 1e-7), "t=0,1e-07"),
        (Box(10, 20.0, 30.25, 40), "xywh=10,20,30.25,40"),
        (Box(-0.0, 0, 1, 1), "xywh=0,0,1,1"),
    ],
)
def test_names_are_those_of_media_fragments(region: Span | Box, name: str) -> None:
    assert region_name(region) == name


@pytest.mark.parametrize(
    "name", ["", "t=1", "t=2,1", "t=a,b", "t=nan,2", "xywh=1,2,3", "xyz=1,2,3,4", "t=1,2,3,4"]
)
def test_what_is_no_name_of_a_region_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no region|a span needs|could not convert"):
        region_named(name)


def test_regions_of_a_file_are_ordered_by_time_and_not_by_letters() -> None:
    names = ["t=9,10", "t=10,11", "t=1.5,3", None, "t=9,9.5", "t=x,2", "t=nan,1"]
    ordered = sorted(names, key=region_order)
    assert ordered[:5] == [None, "t=1.5,3", "t=9,9.5", "t=9,10", "t=10,11"]


@given(st.text(), st.none() | REGIONS)
def test_an_item_is_its_path_and_its_region(path: str, region: Span | Box | None) -> None:
    if "\0" not in path:
        item = item_of(path, None if region is None else region_name(region))
        assert path_and_region(item) == (path, region)


def test_a_path_that_no_file_can_have_stays_whole() -> None:
    assert path_and_region("a\0b") == ("a\0b", None)


@given(*[st.floats(-3, 12, allow_nan=False)] * 2, *[st.floats(0.01, 12, allow_nan=False)] * 2)
def test_a_box_is_the_pixels_that_pillow_cuts_or_none(
    x: float, y: float, w: float, h: float
) -> None:
    pixels = np.arange(90, dtype=np.uint8).reshape(9, 10)
    box = Box(x, y, w, h)
    left, top, right, bottom = box.edges
    if fault := box_fault(box, 10, 9):
        empty = right <= left or bottom <= top
        assert (
            "holds no pixel" in fault if empty else "reaches beyond the picture of 10 × 9" in fault
        )
        return
    cut = np.asarray(Image.fromarray(pixels).crop((x, y, x + w, y + h)))
    assert cut.size
    assert np.array_equal(pixels[top:bottom, left:right], cut)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        (Box(0, 0, 10, 9), ""),
        (Box(-0.4, 0.4, 10.2, 8.9), ""),
        (Box(9, 8, 1, 1), ""),
        (Box(9, 8, 2, 1), "9,8,2,1 reaches beyond the picture of 10 × 9 pixels"),
        (Box(-1, 0, 5, 5), "-1,0,5,5 reaches beyond the picture of 10 × 9 pixels"),
        (Box(0, 5, 5, 5), "0,5,5,5 reaches beyond the picture of 10 × 9 pixels"),
        (Box(2.6, 2, 0.5, 5), "2.6,2,0.5,5 holds no pixel"),
    ],
)
def test_edges_at_the_border_are_inside_and_a_pixel_beyond_is_not(box: Box, fault: str) -> None:
    assert box_fault(box, 10, 9) == fault
