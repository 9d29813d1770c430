"""TIFF files give the picture that they hold: its page, its black and white, its planes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.image import decode_image
from mmembed.media.probe import probe

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
GREY = PIXELS[..., 0]
SIXTEEN = PIXELS.astype(np.uint16) * 257


def tiff(*pages: tuple[np.ndarray, dict[str, Any]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as file:
        for values, fields in pages:
            file.write(values, **fields)
    return buffer.getvalue()


def check(data: bytes, pixels: np.ndarray) -> None:
    got = decode_image(data)
    assert np.array_equal(got, pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2))
    info = probe(data)
    assert (info.modality, info.format) == ("image", "tiff")
    assert (info.height, info.width) == got.shape[:2]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "values",
    [PIXELS, SIXTEEN, PIXELS.astype(np.uint32) * 16843009, (PIXELS / 255).astype(np.float32)],
    ids=lambda values: str(values.dtype),
)
@pytest.mark.parametrize("planar", [False, True])
def test_colours_of_any_depth_in_planes_or_not(
    values: np.ndarray, planar: bool, order: Any, big: bool, compression: str | None
) -> None:
    stored = np.ascontiguousarray(np.moveaxis(values, -1, 0)) if planar else values
    fields = {
        "photometric": "rgb",
        "planarconfig": "separate" if planar else "contig",
        "compression": compression,
    }
    check(tiff((stored, fields), bigtiff=big, byteorder=order), PIXELS)


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize(
    "values",
    [GREY, SIXTEEN[..., 0], GREY.astype(np.uint32) * 16843009, GREY / 255],
    ids=lambda values: str(values.dtype),
)
def test_black_and_white_are_not_taken_for_each_other(values: np.ndarray, white: bool) -> None:
    data = tiff((values, {"photometric": "miniswhite" if white else "minisblack"}))
    check(data, 255 - GREY if white else GREY)


def test_alpha_of_16_bits_lies_on_white() -> None:
    alpha = np.zeros((40, 60, 1), np.uint16)
    fields = {"photometric": "rgb", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    check(tiff((np.dstack([SIXTEEN, alpha]), fields)), np.full_like(PIXELS, 255))
    grey = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    check(tiff((np.dstack([SIXTEEN[..., :1], alpha + 65535]), grey)), GREY)


def test_a_thumbnail_in_front_is_not_the_picture() -> None:
    small = (PIXELS[::10, ::10].copy(), {"photometric": "rgb", "subfiletype": 1})
    check(tiff(small, (PIXELS, {"photometric": "rgb"})), PIXELS)
    check(tiff(small, (SIXTEEN, {"photometric": "rgb"})), PIXELS)
    check(tiff(small), PIXELS[::10, ::10])


def test_the_first_of_many_pages_is_the_picture() -> None:
    check(tiff((PIXELS, {"photometric": "rgb"}), (PIXELS[::-1], {"photometric": "rgb"})), PIXELS)


def test_the_picture_behind_a_thumbnails_page_is_found() -> None:
    small = (PIXELS[::10, ::10].copy(), {"photometric": "rgb", "subfiletype": 1, "subifds": 1})
    check(tiff(small, (PIXELS, {"photometric": "rgb", "subfiletype": 0})), PIXELS)


def test_a_cameras_raw_data_is_refused_by_its_name() -> None:
    small = (PIXELS[::10, ::10].copy(), {"photometric": "rgb", "subfiletype": 1, "subifds": 1})
    raw = (SIXTEEN[..., 0], {"photometric": 32803, "subfiletype": 0})
    for read in (decode_image, probe):
        with pytest.raises(
            MediaError, match="a colour filter array, a camera's raw data. Develop it"
        ):
            read(tiff(small, raw))


@pytest.mark.parametrize("turned", range(1, 9))
def test_orientation_is_applied_by_either_reader(turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "TIFF", exif=exif)
    upright = decode_image(buffer.getvalue())
    tag = [(274, 3, 1, turned, True)]
    planes = np.ascontiguousarray(np.moveaxis(SIXTEEN, -1, 0))
    fields = {"photometric": "rgb", "planarconfig": "separate", "extratags": tag}
    check(tiff((planes, fields)), upright)


@pytest.mark.parametrize("planar", [False, True])
def test_a_file_cut_short_is_an_error(planar: bool) -> None:
    values = np.ascontiguousarray(np.moveaxis(SIXTEEN, -1, 0)) if planar else SIXTEEN
    config = "separate" if planar else "contig"
    data = tiff((values, {"photometric": "rgb", "planarconfig": config}))
    for size in (len(data) // 2, len(data) - 1000):
        with pytest.raises(MediaError, match="is tiff that can't be decoded"):
            decode_image(data[:size])


def test_too_many_pixels_are_refused_by_either_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = np.ascontiguousarray(np.moveaxis(SIXTEEN, -1, 0))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for values, config in ((planes, "separate"), (SIXTEEN, "contig")):
        data = tiff((values, {"photometric": "rgb", "planarconfig": config}))
        with pytest.raises(MediaError, match="more pixels than is safe"):
            probe(data)


def test_other_channels_are_refused() -> None:
    data = tiff((np.dstack([PIXELS] * 2), {"photometric": "minisblack", "planarconfig": "contig"}))
    with pytest.raises(MediaError, match="6 channels"):
        decode_image(data)
