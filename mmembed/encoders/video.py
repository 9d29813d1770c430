"""Clips to features: an image encoder a frame, pooled over the valid frames."""

from __future__ import annotations

import dataclasses
from typing import Literal

from torch import Tensor

from mmembed.encoders.base import Encoder
from mmembed.encoders.pooling import POOLING
from mmembed.errors import ConfigError
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess


class VideoEncoder(Encoder):
    """Values ``(batch, frames, 3, size, size)`` in 0–255 to features ``(batch, width)``.

    Args:
        image: any encoder of pictures; it sees each valid frame alone.
        pooling: ``mean``, ``attention`` or ``gru`` over the valid frames.
        preprocess: frames a span and segments; its ``image`` part is always that of ``image``.

    Raises:
        ConfigError: ``image`` is not an encoder of pictures.
    """

    preprocess: VideoPreprocess

    def __init__(
        self,
        image: Encoder,
        pooling: Literal["mean", "attention", "gru"] = "mean",
        preprocess: VideoPreprocess | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(image.preprocess, ImagePreprocess):
            raise ConfigError(
                f"VideoEncoder: image must be an encoder of pictures, not {type(image).__name__}"
            )
        self.image = image
        self.preprocess = dataclasses.replace(
            preprocess or VideoPreprocess(), image=image.preprocess
        )
        self.width = image.width
        self.pooling = POOLING[pooling](self.width)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features ``(batch, width)`` of clips ``(batch, frames, 3, size, size)``."""
        if mask is None:
            mask = values.new_ones(values.shape[:2]).bool()
        frames = self.image(values[mask])
        features = frames.new_zeros(*mask.shape, self.width)
        features[mask] = frames
        return self.pooling(features, mask)
