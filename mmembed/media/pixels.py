"""Pictures as upright 8-bit RGB: one conversion for files, PIL pictures and arrays.

It knows nothing of files and their formats.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that swap width and height
COLOUR_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of an ICC profile, Pillow's mode
TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")
ALIKE = 2  # levels of 255 that colours of a profile may differ by from sRGB to be taken as they are


def orientation(image: Image.Image, *, undecoded: bool = False) -> int:
    """Return the EXIF orientation 1–8 of an image, 1 if it has none or its EXIF is broken.

    Args:
        image: to ask.
        undecoded: of a PNG, go by what stands before its pixels, and do not decode these.
    """
    try:
        exif = Image.Image.getexif(image) if undecoded else image.getexif()
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF must not cost the picture
        return 1


def upright_rgb(
    image: Image.Image, *, turned: int | None = None, to_srgb: bool = True
) -> np.ndarray:
    """Return a PIL picture as RGB uint8 ``(height, width, 3)``.

    Transparent pixels are composited on white; 16 bits are scaled to 8 rather than clipped,
    floating point from 0–1 (from 0–255 if a value is above 1).

    Args:
        image: of any mode.
        turned: its EXIF orientation 1–8; None reads it from the picture.
        to_srgb: colours with an ICC profile are converted to sRGB (relative to the white of each);
            without one, or with a broken one, they are taken for sRGB.
    """
    rgb = _rgb(image, to_srgb)
    turn = UPRIGHT.get(orientation(image) if turned is None else turned)
    return np.array(rgb if turn is None else rgb.transpose(turn))


def rgb_of_array(values: np.ndarray) -> np.ndarray:
    """Return grey, grey with alpha, RGB or RGBA as RGB uint8 ``(height, width, 3)``.

    Args:
        values: ``(height, width)`` or ``(height, width, channels)`` with 1 to 4 channels. uint8 is
            taken as it is, bool as black and white; other integers are scaled from 0–65535 (from
            the whole range of their type if a value is above that), floating point from 0–1 (from
            0–255 if a value is above 1). What is below 0 or NaN is black.

    Raises:
        ValueError: another shape, no pixels, or values that are no numbers.
    """
    channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or not 1 <= channels <= 4 or not values.size:
        raise ValueError(f"shape {values.shape}")
    if values.dtype.kind not in "buif":
        raise ValueError(f"values of type {values.dtype}")
    levels = eight_bits(values).reshape(*values.shape[:2], channels)
    if channels in (1, 3):
        return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))
    return upright_rgb(Image.fromarray(levels, "LA" if channels == 2 else "RGBA"), turned=1)


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Return values of any type scaled to uint8, as :func:`rgb_of_array` says."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values * np.uint8(255)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float64), posinf=255.0)
        full = 1.0 if values.max(initial=0) <= 1 else 255.0
    else:
        whole = float(np.iinfo(values.dtype).max)
        full = 65535.0 if values.max(initial=0) <= 65535 else whole
    return np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)


def _rgb(image: Image.Image, to_srgb: bool) -> Image.Image:
    profile = image.info.get("icc_profile") if to_srgb else None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(eight_bits(np.asarray(image)))
    if "transparency" in image.info or image.mode in TRANSPARENT:
        clear = image.convert("RGBA")
        alpha = clear.getchannel("A")
        clear = _in_srgb(clear.convert("RGB"), profile)
        clear.putalpha(alpha)
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _in_srgb(image, profile).convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    transform = _transform(profile, image.mode) if profile else None
    return image if transform is None else transform.apply(image)


@functools.lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what brings colours to sRGB; None where they are, or can't be brought, there."""
    try:
        known = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if COLOUR_SPACES.get(known.profile.xcolor_space) != mode:
            return None
        transform = ImageCms.ImageCmsTransform(
            known,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
        )
        sample = _sample(mode)
        if mode != "CMYK":
            plain = np.asarray(sample.convert("RGB"), np.int16)
            if np.abs(np.asarray(transform.apply(sample), np.int16) - plain).max() <= ALIKE:
                return None
        return transform
    except (ImageCms.PyCMSError, OSError, ValueError):  # a broken profile must not cost the picture
        return None


def _sample(mode: str) -> Image.Image:
    """Return a picture with colours from all over those of a mode."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    axes = np.meshgrid(*[steps] * len(mode), indexing="ij")
    return Image.fromarray(np.stack(axes, -1).reshape(1, -1, len(mode)), mode)
