"""Decodes the first picture of an image file to 8-bit RGB, upright, no larger than asked for.

It reads JPEG, PNG, WebP, GIF, BMP and TIFF (and AVIF where Pillow has it), and knows nothing of
the size or the normalisation that an encoder wants.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from mmembed.errors import MediaError, Stage
from mmembed.media.file import Source, opened

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(source: Source, *, min_side: int | None = None) -> np.ndarray:
    """Decode an image (of an animation the first frame) to RGB uint8 ``(height, width, 3)``.

    EXIF orientation is applied; transparent pixels are composited on white; 16 bits are scaled
    to 8 rather than clipped; CMYK is converted without a colour profile, Adobe's inversion
    undone.

    Args:
        source: a path, a URL, the encoded file as ``bytes``, or a file that is open.
        min_side: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (libjpeg's scaled
            decoding), as long as its shorter side stays at least this many pixels.

    Raises:
        MediaError: (stage ``decode``) not an image, cut short, corrupt, or of too many pixels
            (Pillow's ``Image.MAX_IMAGE_PIXELS``).
    """
    with open_image(source, "decode") as image:
        if min_side is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (max(1, min_side), max(1, min_side)))
        image.load()
        rgb = _rgb(image)
        turn = UPRIGHT.get(orientation(image))
        return np.array(rgb if turn is None else rgb.transpose(turn))


def limit_pixels(pixels: int) -> None:
    """Refuse pictures of more than ``pixels`` pixels in this process (Pillow's own: 179 million).

    Pillow warns at its limit and refuses at twice that, so its limit is half of what is given.
    """
    Image.MAX_IMAGE_PIXELS = (pixels + 1) // 2
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextmanager
def open_image(source: Source, stage: Stage) -> Iterator[Image.Image]:
    """Open an image by its content; whatever fails inside is a MediaError of ``stage``."""
    with opened(source) as file:
        sniffed = file.sniffed
        if sniffed is None or sniffed[0] != "image":
            if not file.read_at(0, 1, stage=stage):
                raise MediaError(file.name, stage, "is empty. Copy it again, or leave it out.")
            known = f"is {sniffed[1]}, not an image" if sniffed else ""
            message = f"{known or 'is not an image of a known format'}. Check the path."
            raise MediaError(file.name, stage, message)
        try:
            with Image.open(file.stream(), formats=(sniffed[1].upper(),)) as image:
                yield image
        except Image.DecompressionBombError:
            message = (
                "has more pixels than is safe to decode (a decompression bomb?). Scale it down, "
                "or raise the limit of pixels."
            )
            raise MediaError(file.name, stage, message, "pillow", "max_pixels") from None
        except MemoryError:
            raise
        except Exception as error:  # a parser may raise anything on hostile data
            said = str(error).lower()
            if isinstance(error, UnidentifiedImageError):  # Pillow names its file object
                said = f"cannot identify image file {file.name!r}".lower()
            message = f"is {sniffed[1]} that can't be decoded, {said}. Export it again."
            raise MediaError(file.name, stage, message, "pillow") from None


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation 1–8 of an image, 1 if it has none or its EXIF is broken."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF must not cost the picture
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale grey of 16 bits, 32 bits or floating point (0–1, else 0–255) to uint8."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        full = 1.0 if values.max(initial=0) <= 1 else 255.0
    else:
        full = 65535.0 if values.max(initial=0) <= 65535 else 2147483647.0
    return np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)
