"""Pictures come out upright, in RGB of 8 bits, and no larger than asked for."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from mmembed.errors import MediaError
from mmembed.media.image import decode_image
from mmembed.media.probe import probe

Picture = Callable[..., bytes]
PngChunk = Callable[[bytes, bytes], bytes]


def as_rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_lossless_formats_come_out_as_they_went_in(
    format: str, picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    image = colours()
    data = picture(format, image, **({"lossless": True} if format == "WEBP" else {}))
    assert np.array_equal(decode_image(data), as_rgb(image))


def test_path_and_bytes_give_the_same(
    tmp_path: Path, picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    data = picture("JPEG", colours(400, 300))
    path = tmp_path / "wrong.wav"
    path.write_bytes(data)
    assert np.array_equal(decode_image(path), decode_image(data))
    assert np.array_equal(decode_image(str(path), min_side=40), decode_image(data, min_side=40))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_as_pillow_does(
    format: str, orientation: int, picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    image = colours(96, 64)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = picture(format, image, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    got = decode_image(data)
    assert np.array_equal(got, as_rgb(upright))
    info = probe(data)
    assert (info.height, info.width) == got.shape[:2]
    if format == "JPEG":
        small = decode_image(data, min_side=16)
        assert small.shape[:2] == (upright.height // 4, upright.width // 4)
        ends = (0, -1)
        full, less = got.astype(int), small.astype(int)
        assert all(np.abs(full[y, x] - less[y, x]).max() < 60 for y in ends for x in ends)


def test_broken_exif_does_not_cost_the_picture(
    picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    data = picture("JPEG", colours(), exif=b"Exif\0\0rubbish that is no TIFF header")
    assert decode_image(data).shape == (48, 64, 3)
    assert probe(data).width == 64


@pytest.mark.parametrize(
    ("min_side", "side"), [(None, 960), (500, 960), (480, 480), (240, 240), (121, 240), (1, 120)]
)
def test_a_large_jpeg_is_decoded_at_the_scale_needed(
    min_side: int | None, side: int, picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    data = picture("JPEG", colours(1280, 960))
    got = decode_image(data, min_side=min_side)
    assert got.shape == (side, side * 4 // 3, 3)
    assert np.abs(got[side // 4, side // 3].astype(int) - (254, 0, 0)).max() <= 2


def test_a_jpeg_of_several_pictures_gives_the_first(
    picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    more = [Image.new("RGB", (640, 480), "blue")]
    data = picture("MPO", colours(640, 480), save_all=True, append_images=more)
    got = decode_image(data, min_side=100)
    assert got.shape == (120, 160, 3)
    assert np.abs(got[10, 10].astype(int) - (254, 0, 0)).max() <= 2


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_only_jpeg_is_scaled(
    format: str, picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    assert decode_image(picture(format, colours()), min_side=4).shape == (48, 64, 3)


def test_alpha_lies_on_white(picture: Picture) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 255, 128)])
    got = decode_image(picture("PNG", image))
    assert got[0].tolist()[:2] == [[255, 0, 0], [255, 255, 255]]
    assert np.abs(got[0, 2].astype(int) - (127, 127, 255)).max() <= 1


def test_alpha_of_grey_and_transparent_colours_lie_on_white(picture: Picture) -> None:
    grey = Image.new("LA", (2, 1))
    grey.putdata([(10, 255), (10, 0)])
    assert decode_image(picture("PNG", grey))[0].tolist() == [[10] * 3, [255] * 3]
    rgb = Image.new("RGB", (2, 1))
    rgb.putdata([(1, 2, 3), (9, 9, 9)])
    key = picture("PNG", rgb, transparency=(9, 9, 9))
    assert decode_image(key)[0].tolist() == [[1, 2, 3], [255] * 3]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_and_its_transparency(format: str, picture: Picture) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    image.putdata([0, 1, 2])
    opaque = decode_image(picture(format, image))
    assert opaque[0].tolist() == [[200, 10, 10], [10, 200, 10], [10, 10, 200]]
    clear = decode_image(picture(format, image, transparency=1))
    assert clear[0].tolist() == [[200, 10, 10], [255] * 3, [10, 10, 200]]


def test_first_frame_of_an_animation(picture: Picture) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
        data = picture(format, frames[0], save_all=True, append_images=frames[1:], **options)
        assert decode_image(data)[4, 4].tolist() == [255, 0, 0], format
        assert probe(data).modality == "image"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(format: str, picture: Picture) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    got = decode_image(picture(format, Image.fromarray(ramp)))
    assert np.array_equal(got[..., 0].ravel(), np.arange(256))
    assert np.array_equal(got[..., 0], got[..., 2])


def test_32_bit_and_floating_point_grey(picture: Picture) -> None:
    whole = np.array([[0, 65535 // 2, 65535]], np.int32)
    assert decode_image(picture("TIFF", Image.fromarray(whole)))[0, :, 0].tolist() == [0, 127, 255]
    large = np.array([[0, 2**30, 2**31 - 1]], np.int32)
    assert decode_image(picture("TIFF", Image.fromarray(large)))[0, :, 0].tolist() == [0, 128, 255]
    unit = np.array([[0.0, 0.5, np.nan, 1.0]], np.float32)
    assert decode_image(picture("TIFF", Image.fromarray(unit)))[0, :, 0].tolist() == [
        0,
        128,
        0,
        255,
    ]
    bytes_ = np.array([[0.0, 127.0, 300.0]], np.float32)
    assert decode_image(picture("TIFF", Image.fromarray(bytes_)))[0, :, 0].tolist() == [0, 127, 255]


def test_one_bit_and_grey(picture: Picture) -> None:
    bits = Image.fromarray(np.array([[True, False]]))
    assert decode_image(picture("PNG", bits))[0].tolist() == [[255] * 3, [0] * 3]
    grey = Image.fromarray(np.array([[7, 99]], np.uint8))
    assert decode_image(picture("PNG", grey))[0].tolist() == [[7] * 3, [99] * 3]


INKS = {"cyan": (255, 0, 0, 0), "black": (0, 0, 0, 255), "paper": (0, 0, 0, 0)}
SEEN = {"cyan": (0, 255, 255), "black": (0, 0, 0), "paper": (255, 255, 255)}


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("min_side", [None, 16])
def test_cmyk_jpeg_has_its_colours(ink: str, min_side: int | None, picture: Picture) -> None:
    data = picture("JPEG", Image.new("CMYK", (64, 64), INKS[ink]), quality=95)
    got = decode_image(data, min_side=min_side).astype(int)
    assert got.shape[0] == (min_side or 64)
    assert np.abs(got - SEEN[ink]).max() <= 3


@pytest.mark.parametrize("ink", INKS)
def test_ycck_jpeg_has_its_colours(ink: str, picture: Picture) -> None:
    # libjpeg stores YCC of the inverted inks (Adobe); Pillow writes CMYK only, so the
    # conversion is done here, and the Adobe marker's transform set to 2
    cyan, magenta, yellow, black = INKS[ink]
    rgb = Image.new("RGB", (64, 64), (cyan, magenta, yellow))
    ycc = rgb.convert("YCbCr").split()
    stored = [*ycc, Image.new("L", (64, 64), 255 - black)]
    plain = picture("JPEG", Image.merge("CMYK", [band.point(lambda v: 255 - v) for band in stored]))
    marker = plain.index(b"Adobe") + 11
    data = plain[:marker] + b"\2" + plain[marker + 1 :]
    assert np.abs(decode_image(data).astype(int) - SEEN[ink]).max() <= 6


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_truncated_image_is_named_not_half_decoded(
    format: str, tmp_path: Path, picture: Picture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = picture(format, Image.fromarray(noise))
    path = tmp_path / "half.bin"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"half.bin: is \w+ that can't be decoded") as caught:
        decode_image(path)
    assert caught.value.stage == "decode"
    assert caught.value.decoder == "pillow"


def huge_png(png_chunk: PngChunk, width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_decompression_bomb_is_refused_and_says_what_to_do(png_chunk: PngChunk) -> None:
    with pytest.raises(
        MediaError, match=r"more pixels than is safe.*raise the limit of pixels"
    ) as caught:
        decode_image(huge_png(png_chunk, 30000, 30000))
    assert caught.value.stage == "decode"
    with pytest.raises(MediaError, match="more pixels than is safe") as caught:
        probe(huge_png(png_chunk, 30000, 30000))
    assert caught.value.stage == "probe"


def test_what_is_no_image_is_refused(tmp_path: Path, pcm: Callable[..., bytes]) -> None:
    with pytest.raises(MediaError, match="<bytes>: is wav, not an image"):
        decode_image(pcm(np.zeros((1, 100), np.float32)))
    with pytest.raises(MediaError, match="is not an image of a known format"):
        decode_image(b"no such thing")
    with pytest.raises(MediaError, match=r"is empty. Copy it again") as caught:
        decode_image(b"")
    assert caught.value.stage == "decode"
    with pytest.raises(MediaError, match="no such file"):
        decode_image(tmp_path / "none.png")


def test_decoding_leaves_pillow_as_it_was(
    picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    decode_image(picture("JPEG", colours()), min_side=8)
    assert before == (Image.MAX_IMAGE_PIXELS, False)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_decoded_pixels_are_the_callers_own(
    picture: Picture, colours: Callable[..., Image.Image]
) -> None:
    got = decode_image(picture("PNG", colours()))
    assert got.dtype == np.uint8
    assert got.flags.writeable
    assert got.flags.c_contiguous
