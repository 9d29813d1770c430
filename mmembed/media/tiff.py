"""TIFF files: which of their pages is the picture, and the pages that Pillow reads wrongly.

A TIFF may begin with a thumbnail, and may hold what Pillow shows as a negative (16 bits where 0 is
white), garbles (16-bit colour planes, 32-bit integers) or doesn't know (colours in floating point).
tifffile, which is not as quick and knows fewer compressions, reads those.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import Image

from mmembed.media.pixels import rgb_of_array

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it warns of is not shown
REDUCED = 1  # bit of NewSubfileType: a smaller copy of another page (TIFF 6.0, page 36)
COLOURS = {0: 1, 1: 1, 2: 3}  # channels of a photometric interpretation, without alpha
RAW = {32803: "a colour filter array", 34892: "linear raw"}  # of cameras (DNG 1.7, TIFF/EP)
UINT = 1  # sample format of whole numbers without a sign (TIFF 6.0, page 80)


@dataclass(frozen=True)
class Page:
    """The page of a TIFF file that holds its picture.

    Attributes:
        index: of the page in the file's chain; None if the first page holds it (``SubIFDs``), as
            in a camera's raw files.
        width: in pixels, before it is turned.
        height: in pixels, before it is turned.
        orientation: 1 to 8, as in EXIF.
        by_pillow: whether Pillow decodes it right.
        of_camera: what it holds, if a raw converter has to develop it; empty otherwise.
        offset: where it begins in the file.
    """

    index: int | None
    width: int
    height: int
    orientation: int
    by_pillow: bool
    of_camera: str
    offset: int


def find_page(stream: IO[bytes]) -> Page:
    """Return the page with the picture: the first that is no smaller copy, else the largest.

    Raises:
        Exception: whatever tifffile raises of a file that is damaged.
    """
    import tifffile

    with tifffile.TiffFile(stream, name="picture.tif") as file:
        first = file.pages.first
        candidates: list[tuple[int | None, Any]] = [(0, first)]
        if _is_reduced(first):
            candidates += [(None, page) for page in first.pages or ()]
            candidates += list(enumerate(file.pages))[1:]
        whole = [each for each in candidates if not _is_reduced(each[1])]
        index, page = whole[0] if whole else max(candidates, key=lambda each: _pixels(each[1]))
        return Page(
            index=index,
            width=page.imagewidth,
            height=page.imagelength,
            orientation=int(page.tags.valueof(274, default=1)),
            by_pillow=index is not None and _is_for_pillow(file, page),
            of_camera=RAW.get(int(page.photometric), ""),
            offset=page.offset,
        )


def read_page(stream: IO[bytes], page: Page) -> Image.Image:
    """Return a page as a picture of 8 bits, with its colour profile, not turned.

    Raises:
        ValueError: channels that are no grey and no RGB.
        Exception: whatever tifffile raises of a file that is damaged, or of a compression that it
            does not know.
    """
    import tifffile

    with tifffile.TiffFile(stream, name="picture.tif") as file:
        first: Any = file.pages.first
        stored: Any = None if page.index is None else file.pages[page.index]
        if stored is None:
            stored = next(each for each in first.pages if each.offset == page.offset)
        values = stored.asarray()
        colours = COLOURS.get(int(stored.photometric))
        channels = stored.samplesperpixel
        if colours is None or not colours <= channels <= colours + 1:
            raise ValueError(f"{channels} channels of kind {stored.photometric}")
        if channels > 1 and int(stored.planarconfig) == 2:
            values = np.moveaxis(values, 0, -1)
        if int(stored.photometric) == 0:
            values = _inverted(values)
        rgb = rgb_of_array(values)
        image = Image.fromarray(rgb[..., 0] if colours == 1 else rgb)
        image.info["icc_profile"] = stored.tags.valueof(34675)
        return image


def _is_reduced(page: Any) -> bool:
    return bool(int(page.subfiletype) & REDUCED)


def _pixels(page: Any) -> int:
    return page.imagewidth * page.imagelength


def _is_for_pillow(file: Any, page: Any) -> bool:
    """Return whether Pillow decodes a page right.

    It does whatever is not grey or RGB, and whole numbers of up to 8 bits. Of 16 bits it scales
    colours that are not in planes, and knows black from white only where 0 is black.
    """
    photometric, bits = int(page.photometric), int(page.bitspersample)
    if file.is_bigtiff and file.byteorder == ">":  # which Pillow 13 does not open
        return False
    if photometric not in COLOURS:
        return True
    if int(page.sampleformat) != UINT:
        return False
    if bits <= 8:
        return page.samplesperpixel <= COLOURS[photometric] + 1
    planes = page.samplesperpixel > 1 and int(page.planarconfig) == 2
    grey_with_alpha = photometric < 2 and page.samplesperpixel > 1
    return bits == 16 and photometric != 0 and not planes and not grey_with_alpha


def _inverted(values: np.ndarray) -> np.ndarray:
    """Return values with white for black."""
    if values.dtype == bool:
        return ~values
    if values.dtype.kind == "f":
        return (1.0 if np.nanmax(values, initial=0) <= 1 else 255.0) - values
    full = int(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else 0
    return full - values if full else -1 - values
