"""Decodes the picture of an image file to 8-bit RGB, upright, no larger than asked for.

Pillow reads nearly all of them; TIFF pages that it reads wrongly go to tifffile, HEIC to libheif.
It knows nothing of the size or the normalisation that an encoder wants.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmembed.errors import MediaError, Stage
from mmembed.media.file import MediaFile, Source, opened
from mmembed.media.pixels import SIDEWAYS, orientation, upright_rgb
from mmembed.media.tiff import Page, find_page, read_page

PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}  # chunks
PNG_MARK_BYTES = 8


class Picture:
    """A picture that is open and not yet decoded.

    Args:
        width: pixels, as it is stored.
        height: pixels, as it is stored.
        turned: its EXIF orientation, 1 to 8.

    Attributes:
        width: pixels as shown.
        height: pixels as shown.
        decoder: the library that reads it.
    """

    decoder: ClassVar[str]

    def __init__(self, width: int, height: int, turned: int = 1) -> None:
        sideways = turned in SIDEWAYS
        self.width, self.height = (height, width) if sideways else (width, height)

    def rgb(self, min_side: int | None, to_srgb: bool) -> np.ndarray:
        """Decode it, as :func:`decode_image` says."""
        raise NotImplementedError


class PillowPicture(Picture):
    """A picture that Pillow opened.

    Args:
        image: not decoded yet.
        said_before: whether all that it says of itself stands before its pixels. PNG may keep
            EXIF behind them, and Pillow decodes them all to look there.
    """

    decoder = "pillow"

    def __init__(self, image: Image.Image, said_before: bool = True) -> None:
        turned = 1  # of a TIFF Pillow gives the size as shown
        if image.format != "TIFF":
            turned = orientation(image, undecoded=image.format == "PNG" and said_before)
        super().__init__(*image.size, turned)
        self.image = image

    def rgb(self, min_side: int | None, to_srgb: bool) -> np.ndarray:
        """Decode it; a JPEG at a part of its size."""
        if min_side is not None and self.image.format in ("JPEG", "MPO"):
            self.image.draft(None, (max(1, min_side), max(1, min_side)))
        self.image.load()
        return upright_rgb(self.image, to_srgb=to_srgb)


class TiffPicture(Picture):
    """A page of a TIFF file that Pillow reads wrongly, or not at all."""

    decoder = "tifffile"

    def __init__(self, file: MediaFile, page: Page) -> None:
        super().__init__(page.width, page.height, page.orientation)
        self._file, self._page = file, page

    def rgb(self, min_side: int | None, to_srgb: bool) -> np.ndarray:
        """Decode it."""
        image = read_page(self._file.stream(), self._page)
        return upright_rgb(image, turned=self._page.orientation, to_srgb=to_srgb)


class HeifPicture(Picture):
    """The primary picture of a HEIC file, which libheif puts together and turns."""

    decoder = "libheif"

    def __init__(self, file: MediaFile) -> None:
        import pi_heif

        self._heif = pi_heif.open_heif(file.stream())
        super().__init__(*self._heif.size)

    def rgb(self, min_side: int | None, to_srgb: bool) -> np.ndarray:
        """Decode it."""
        return upright_rgb(self._heif.to_pillow(), turned=1, to_srgb=to_srgb)


READERS: dict[str, type[Picture]] = {"tiff": TiffPicture, "heic": HeifPicture}


def decode_image(
    source: Source, *, min_side: int | None = None, to_srgb: bool = True
) -> np.ndarray:
    """Decode an image (of an animation the first frame) to RGB uint8 ``(height, width, 3)``.

    EXIF orientation is applied; transparent pixels are composited on white; 16 bits are scaled
    to 8 rather than clipped; CMYK without a colour profile is converted by complements, Adobe's
    inversion undone.

    Args:
        source: a path, a URL, the encoded file as ``bytes``, or a file that is open.
        min_side: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (libjpeg's scaled
            decoding), as long as its shorter side stays at least this many pixels.
        to_srgb: colours with an ICC profile are converted to sRGB.

    Raises:
        MediaError: (stage ``decode``) not an image, cut short, corrupt, a camera's raw data, or of
            too many pixels (Pillow's ``Image.MAX_IMAGE_PIXELS``).
    """
    with opened(source) as file:
        try:
            with open_image(file, "decode") as picture:
                return picture.rgb(min_side, to_srgb)
        except MediaError:
            scaled = file.sniffed == ("image", "jpeg") and min_side is not None
            if not scaled and file.sniffed != ("image", "png"):
                raise
        # once more, since a lossless JPEG can't be decoded at a scale, nor a PNG with long texts
        with open_image(file, "decode", with_texts=False) as picture:
            return picture.rgb(None, to_srgb)


def limit_pixels(pixels: int) -> None:
    """Refuse pictures of more than ``pixels`` pixels in this process (Pillow's own: 179 million).

    Pillow warns at its limit and refuses at twice that, so its limit is half of what is given.
    """
    Image.MAX_IMAGE_PIXELS = (pixels + 1) // 2
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextmanager
def open_image(source: Source, stage: Stage, *, with_texts: bool = True) -> Iterator[Picture]:
    """Open an image by its content; whatever fails inside is a MediaError of ``stage``.

    Args:
        source: as of :func:`decode_image`.
        stage: of the errors.
        with_texts: False leaves the texts of a PNG unread, whatever their length.
    """
    with opened(source) as file:
        sniffed = file.sniffed
        if sniffed is None or sniffed[0] != "image":
            if not file.read_at(0, 1, stage=stage):
                raise MediaError(file.name, stage, "is empty. Copy it again, or leave it out.")
            known = f"is {sniffed[1]}, not an image" if sniffed else ""
            message = f"{known or 'is not an image of a known format'}. Check the path."
            raise MediaError(file.name, stage, message)
        kind = sniffed[1]
        decoder = READERS.get(kind, PillowPicture).decoder
        try:
            with _picture(file, kind, stage, with_texts) as picture:
                decoder = picture.decoder
                yield picture
        except Image.DecompressionBombError:
            message = (
                "has more pixels than is safe to decode (a decompression bomb?). Scale it down, "
                "or raise the limit of pixels."
            )
            raise MediaError(file.name, stage, message, decoder, "max_pixels") from None
        except (MemoryError, MediaError):
            raise
        except Exception as error:  # a parser may raise anything on hostile data
            said = str(error)
            if isinstance(error, UnidentifiedImageError):  # Pillow names its file object
                said = f"cannot identify image file {file.name!r}"
            message = f"is {kind} that can't be decoded, {said}. Export it again."
            raise MediaError(file.name, stage, message, decoder) from None


@contextmanager
def _picture(file: MediaFile, kind: str, stage: Stage, with_texts: bool) -> Iterator[Picture]:
    if kind == "heic":
        yield _of_safe_size(HeifPicture(file))
        return
    page = None
    if kind == "tiff":
        page = _page(file)
    if page is not None:
        if page.of_camera:
            message = (
                f"holds {page.of_camera}, a camera's raw data. Develop it to JPEG or TIFF first."
            )
            raise MediaError(file.name, stage, message)
        if not page.by_pillow:
            yield _of_safe_size(TiffPicture(file, page))
            return
    stream = file.stream() if with_texts or kind != "png" else _without_texts(file)
    try:
        image = Image.open(stream, formats=(kind.upper(),))
    except ValueError:
        if kind != "png" or not with_texts:
            raise
        image = Image.open(_without_texts(file), formats=("PNG",))
    with image:
        if page is not None and page.index:
            image.seek(page.index)
        yield PillowPicture(image, kind != "png" or _says_all_before(file))


def _page(file: MediaFile) -> Page | None:
    """Return the page of a TIFF file with its picture; None if Pillow may know more of the file."""
    try:
        return find_page(file.stream())
    except Exception:  # damaged: Pillow reads what it can, or says what is wrong
        return None


def _of_safe_size(picture: Picture) -> Picture:
    limit = Image.MAX_IMAGE_PIXELS
    if limit and picture.width * picture.height > 2 * limit:
        raise Image.DecompressionBombError
    return picture


def _without_texts(file: MediaFile) -> io.BytesIO:
    """Return a PNG file without its texts, of which Pillow refuses those of a megabyte."""
    kept = io.BytesIO()
    kept.write(file.read_at(0, PNG_MARK_BYTES))
    for kind, at, size in _png_chunks(file):
        if kind not in PNG_TEXTS:
            kept.write(file.read_at(at, size))
    kept.seek(0)
    return kept


def _says_all_before(file: MediaFile) -> bool:
    """Return whether no EXIF or text of a PNG file stands behind its pixels."""
    behind = False
    for kind, _, _ in _png_chunks(file):
        if behind and (kind == b"eXIf" or kind in PNG_TEXTS):
            return False
        behind |= kind == b"IDAT"
    return True


def _png_chunks(file: MediaFile) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk of a PNG file, where it begins, and its bytes in all."""
    at = PNG_MARK_BYTES
    while len(head := file.read_at(at, 8)) == 8:
        size = 12 + int.from_bytes(head[:4], "big")
        yield head[4:], at, size
        at += size
