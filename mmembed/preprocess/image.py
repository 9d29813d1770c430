"""Pictures to the values of an image encoder: resized and cut to a square."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from PIL import Image

from mmembed.errors import ConfigError, MediaError
from mmembed.media.file import opened
from mmembed.media.image import decode_image
from mmembed.media.probe import Source
from mmembed.media.regions import box_fault
from mmembed.media.spans import AnySpan, Box
from mmembed.modality import Modality
from mmembed.preprocess.base import LEFT_OUT_IF_USUAL, Preprocess

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
LONG = 8  # a picture that would be as many squares long is cut before it is scaled, which may
# change a level or two of 255: one of 20000 x 1 pixels would take gigabytes


@dataclass(frozen=True)
class ImagePreprocess(Preprocess):
    """RGB picture ``(height, width, 3)`` to values ``(3, size, size)`` of uint8.

    Args:
        size: side of the square, in pixels.
        resize: ``crop`` scales the shorter side and cuts the centre out, ``pad`` scales the
            longer side and fills with black, ``squash`` ignores the aspect ratio.
        crop_fraction: share of the scaled picture's side that ``crop`` keeps (timm's
            ``crop_pct``).
        interpolation: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``, antialiased.
        mean: channel means, in units of 0–1, subtracted by the encoder.
        std: channel standard deviations, in units of 0–1, divided by the encoder.
        to_srgb: colours of a file with an ICC profile are converted to sRGB; False takes its
            numbers as they are, as most public models were trained.
    """

    modality: ClassVar[Modality] = "image"
    varies: ClassVar[bool] = False
    takes_boxes: ClassVar[bool] = True

    size: int = 224
    resize: Literal["crop", "pad", "squash"] = "crop"
    crop_fraction: float = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    to_srgb: bool = field(default=True, metadata=LEFT_OUT_IF_USUAL)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        if self.size < 1 or not 0 < self.crop_fraction <= 1 or min(self.std) <= 0:
            raise ConfigError(
                f"ImagePreprocess: size {self.size}, crop_fraction {self.crop_fraction} and "
                f"std {self.std} must be positive (crop_fraction at most 1)"
            )

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> np.ndarray:
        """Decode a picture ``(height, width, 3)``, no larger than needed, or a box."""
        if isinstance(span, Box):
            return next(self.stream(source, [span]))
        min_side = math.ceil(self.size / self.crop_fraction)
        return decode_image(source, min_side=min_side, to_srgb=self.to_srgb)

    def stream(self, source: Source, spans: Sequence[AnySpan | None]) -> Iterator[np.ndarray]:
        """Yield boxes of a picture, which is decoded once for all of them, or all of it."""
        with opened(source) as file:
            whole: np.ndarray | None = None
            for span in spans:
                if not isinstance(span, Box):
                    yield self.load(file, span)
                    continue
                if whole is None:
                    whole = decode_image(file, to_srgb=self.to_srgb)
                if fault := box_fault(span, whole.shape[1], whole.shape[0]):
                    raise MediaError(file.name, "decode", fault)
                left, top, right, bottom = span.edges
                yield whole[top:bottom, left:right]

    def __call__(self, media: np.ndarray) -> np.ndarray:
        """Return values ``(3, size, size)`` of uint8 for a picture ``(height, width, 3)``."""
        height, width = media.shape[:2]
        if (height, width) != (self.size, self.size) or self.crop_fraction < 1:
            media = np.asarray(self._resized(Image.fromarray(media)))
        return np.ascontiguousarray(media.transpose(2, 0, 1))

    def _resized(self, picture: Image.Image) -> Image.Image:
        method = RESAMPLING[self.interpolation]
        width, height = picture.size
        if self.resize == "squash":
            return picture.resize((self.size, self.size), method)
        if self.resize == "pad":
            scale = self.size / max(width, height)
        else:
            scale = math.floor(self.size / self.crop_fraction) / min(width, height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        cut = (left, top, left + self.size, top + self.size)
        if (wide, high) == (width, height):
            return picture.crop(cut)
        if self.resize == "pad" or max(wide, high) <= LONG * self.size:
            return picture.resize((wide, high), method).crop(cut)
        across, down = width / wide, height / high
        box = (
            cut[0] * across,
            cut[1] * down,
            min(cut[2] * across, width),
            min(cut[3] * down, height),
        )
        return picture.resize((self.size, self.size), method, box=box)
