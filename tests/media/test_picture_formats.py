"""Pictures of each format come out as they went in: HEIC, JPEG 2000, PSD, PNG with long texts."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.image import decode_image
from mmembed.media.pixels import UPRIGHT
from mmembed.media.probe import probe

Picture = Callable[..., bytes]


@pytest.mark.parametrize("turned", range(1, 9))
def test_heic_is_decoded_upright_and_once(turned: int, colours: Callable[..., Image.Image]) -> None:
    image, exif = colours(96, 64), Image.Exif()
    exif[0x0112] = turned
    buffer = io.BytesIO()
    # of EXIF's number pillow-heif makes the boxes that a decoder turns the picture by
    pillow_heif.from_pillow(image).save(buffer, quality=-1, chroma=444, exif=exif.tobytes())
    got, info = decode_image(buffer.getvalue()), probe(buffer.getvalue())
    assert (info.modality, info.format) == ("image", "heic")
    assert (info.height, info.width) == got.shape[:2]
    shown = np.asarray(image if turned == 1 else image.transpose(UPRIGHT[turned]))
    assert np.abs(got.astype(int) - shown).max() <= 6


def test_heic_of_more_bits_alpha_and_several_pictures(
    colours: Callable[..., Image.Image],
) -> None:
    image = colours(96, 64)
    deep = np.asarray(image).astype(np.uint16) << 8
    buffer = io.BytesIO()
    file = pillow_heif.from_bytes("RGB;16", (96, 64), deep.tobytes())
    file.save(buffer, quality=-1, chroma=444)
    assert np.abs(decode_image(buffer.getvalue()).astype(int) - np.asarray(image)).max() <= 6
    clear = image.convert("RGBA")
    clear.putalpha(0)
    two = pillow_heif.from_pillow(Image.new("RGB", (32, 32), "red"))
    two.add_from_pillow(clear)
    buffer = io.BytesIO()
    two.save(buffer, quality=-1, primary_index=1)
    got = decode_image(buffer.getvalue())
    assert got.shape == (64, 96, 3)
    assert got.min() > 250


def test_heic_cut_short_or_with_too_many_pixels_is_an_error(
    colours: Callable[..., Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(colours(640, 480)).save(buffer)
    data = buffer.getvalue()
    with pytest.raises(MediaError, match="is heic that can't be decoded") as caught:
        decode_image(data[: len(data) - 200])
    assert caught.value.decoder == "libheif"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match="more pixels than is safe"):
        probe(data)


@pytest.mark.parametrize(
    ("format", "name", "options"),
    [
        ("AVIF", "avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("JPEG2000", "jpeg2000", {}),
        ("PPM", "ppm", {}),
        ("ICO", "ico", {"sizes": [(64, 64)]}),
        ("DDS", "dds", {}),
    ],
)
def test_formats_that_pillow_writes(
    format: str,
    name: str,
    options: dict[str, Any],
    picture: Picture,
    colours: Callable[..., Image.Image],
) -> None:
    image = colours(64, 64)
    data = picture(format, image, **options)
    info = probe(data)
    assert (info.modality, info.format, info.width, info.height) == ("image", name, 64, 64)
    difference = np.abs(decode_image(data).astype(int) - np.asarray(image)).max()
    assert difference <= (4 if format == "AVIF" else 0)


def psd(pixels: np.ndarray) -> bytes:
    """A PSD file with a composite and no layers (Adobe's specification of 2019)."""
    height, width = pixels.shape[:2]
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    return header + bytes(12) + bytes(2) + pixels.transpose(2, 0, 1).tobytes()


def test_the_composite_of_a_psd(colours: Callable[..., Image.Image]) -> None:
    pixels = np.asarray(colours(40, 30))
    assert np.array_equal(decode_image(psd(pixels)), pixels)
    assert probe(psd(pixels)).format == "psd"


def png_with_texts(png_chunk: Callable[..., bytes], data: bytes, size: int) -> bytes:
    text = b"Comment\0\0" + zlib.compress(bytes(size))
    return (
        data[:33] + png_chunk(b"zTXt", text) + data[33:-12] + png_chunk(b"zTXt", text) + data[-12:]
    )


@pytest.mark.parametrize("size", [100, 3_000_000, 100_000_000])
def test_a_text_of_any_length_does_not_cost_a_png(
    size: int,
    picture: Picture,
    colours: Callable[..., Image.Image],
    png_chunk: Callable[[bytes, bytes], bytes],
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = picture("PNG", colours(60, 40), exif=exif)
    data = png_with_texts(png_chunk, plain, size)
    assert np.array_equal(decode_image(data), decode_image(plain))
    assert (probe(data).width, probe(data).height) == (40, 60)


def lossless_jpeg(grey: np.ndarray) -> bytes:
    """A JPEG of 8-bit grey by prediction from the left (ITU T.81, annex H), which SOF3 marks."""
    lengths = [0, 0, 0, 9, *[0] * 12]  # nine codes of four bits
    table = b"\xff\xc4" + struct.pack(">HB", 19 + 9, 0) + bytes(lengths) + bytes(range(9))
    height, width = grey.shape
    frame = b"\xff\xc3" + struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    bits = []
    for row in range(height):
        for column in range(width):
            above = int(grey[row - 1, 0]) if row else 128
            guess = int(grey[row, column - 1]) if column else above
            off = int(grey[row, column]) - guess
            size = abs(off).bit_length()
            bits.append(f"{size:04b}")
            bits.append(f"{off if off > 0 else off + (1 << size) - 1:0{size}b}" if size else "")
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    coded = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + table + frame + scan + coded + b"\xff\xd9"


@pytest.mark.parametrize("min_side", [None, 4])
def test_a_lossless_jpeg_is_decoded_at_its_size(min_side: int | None) -> None:
    grey = np.random.default_rng(0).integers(100, 156, (40, 64), np.uint8)
    got = decode_image(lossless_jpeg(grey), min_side=min_side)
    assert np.array_equal(got[..., 0], grey)
