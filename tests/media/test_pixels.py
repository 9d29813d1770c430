"""Pictures of any mode, and arrays of any type, come out as the colours that they stand for."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms

from mmembed.media.image import decode_image
from mmembed.media.pixels import rgb_of_array, upright_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)


def file_of(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "values",
    [
        PIXELS.astype(np.uint16) * 257,
        PIXELS.astype(np.uint32) * 16843009,
        PIXELS / 255,
        PIXELS.astype(np.float32),
        (PIXELS / 255).astype(np.float16),
        PIXELS.astype(np.int64) * 257,
    ],
    ids=lambda values: f"{values.dtype} to {values.max()}",
)
def test_values_of_any_type_are_scaled_to_the_same_levels(values: np.ndarray) -> None:
    assert np.array_equal(rgb_of_array(values), PIXELS)


def test_grey_bool_and_alpha_of_arrays() -> None:
    grey = PIXELS[..., 0]
    thrice = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(rgb_of_array(grey), thrice)
    assert np.array_equal(rgb_of_array(grey[..., None]), thrice)
    assert np.array_equal(rgb_of_array(grey > 99)[..., 0], (grey > 99) * 255)
    clear = np.dstack([PIXELS, np.zeros_like(grey)])
    assert (rgb_of_array(clear) == 255).all()
    full = np.full_like(grey, 255)
    assert np.array_equal(rgb_of_array(np.dstack([PIXELS, full])), PIXELS)
    assert np.array_equal(rgb_of_array(np.dstack([grey, full])), thrice)


def test_what_is_below_zero_or_no_number_is_black_and_infinity_white() -> None:
    values = np.array([[-1.0, np.nan, np.inf, 128.0]])
    assert rgb_of_array(values)[0, :, 0].tolist() == [0, 0, 255, 128]
    assert rgb_of_array(np.array([[-5, 65535]], np.int32))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    "values",
    [np.zeros((0, 4, 3)), np.zeros((4, 0)), np.zeros((2, 2, 5)), np.zeros(4), np.array([["a"]])],
    ids=str,
)
def test_what_is_no_picture_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"shape|type"):
        rgb_of_array(values)


@given(
    arrays.arrays(
        st.sampled_from(
            [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64, np.bool_]
        ),
        st.sampled_from([(3, 2), (3, 2, 1), (3, 2, 2), (3, 2, 3), (3, 2, 4)]),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_array_becomes_bytes_of_its_shape(values: np.ndarray) -> None:
    got = rgb_of_array(values)
    assert got.dtype == np.uint8
    assert got.shape == (3, 2, 3)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_a_picture_in_memory_is_the_same_as_its_file(mode: str, turned: int) -> None:
    if mode == "I;16":
        image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200)
    else:
        image = Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]), "RGBA").convert(
            "RGB" if mode not in ("LA", "RGBA") else "RGBA"
        )
        image = image.convert(mode)
    if mode == "P":
        image.info["transparency"] = image.getpixel((0, 0))
    exif = Image.Exif()
    exif[0x0112] = turned
    data = file_of(image, "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    opened = Image.open(io.BytesIO(data))
    decoded = decode_image(data)
    assert decoded.shape == ((8, 12, 3) if turned < 5 else (12, 8, 3))
    assert np.array_equal(upright_rgb(opened), decoded)


def swapped_profile() -> bytes:
    """A profile of a screen whose red is sRGB's green and whose green is its red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(profile[128:132], "big")
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * tags, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_a_colour_profile_is_applied_unless_it_is_left(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    data = file_of(Image.fromarray(PIXELS), format, icc_profile=swapped_profile(), **options)
    swapped = PIXELS[..., [1, 0, 2]].astype(int)
    assert np.abs(decode_image(data).astype(int) - swapped).max() <= 2
    assert np.array_equal(decode_image(data, to_srgb=False), PIXELS)


def test_alpha_stays_where_a_colour_profile_is_applied() -> None:
    half = np.dstack([PIXELS, np.full((8, 12), 128, np.uint8)])
    data = file_of(Image.fromarray(half), icc_profile=swapped_profile())
    on_white = (PIXELS[..., [1, 0, 2]] * 128.0 + 255 * 127) / 255
    assert np.abs(decode_image(data) - on_white).max() <= 3


@pytest.mark.parametrize("profile", [b"no profile", b"\0" * 500, swapped_profile()[:200]], ids=len)
def test_a_broken_profile_does_not_cost_the_picture(profile: bytes) -> None:
    data = file_of(Image.fromarray(PIXELS), "TIFF", icc_profile=profile)
    assert np.array_equal(decode_image(data), PIXELS)


def test_a_profile_of_other_channels_than_the_picture_has_is_left() -> None:
    grey = Image.fromarray(PIXELS[..., 0])
    data = file_of(grey, icc_profile=swapped_profile())
    assert np.array_equal(decode_image(data)[..., 0], PIXELS[..., 0])


def test_srgb_itself_changes_no_level() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_of(Image.fromarray(PIXELS), icc_profile=profile)
    assert np.array_equal(decode_image(data), PIXELS)
