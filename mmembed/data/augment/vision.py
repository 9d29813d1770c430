"""Random changes of pictures and clips; knows neither files nor encoders."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mmembed.data.augment.base import Augment, symmetric


class ImageAugment(Augment):
    """Pictures ``(batch, 3, height, width)`` in 0–255, turned, scaled, sheared, moved, bent.

    All ranges are symmetric around no change. Elastic bending follows Simard et al. (2003).

    Args:
        degrees: turns by up to this, either way.
        scale: grows or shrinks by up to this share (0.1: from 1 / 1.1 to 1.1).
        shear_degrees: shears horizontally by up to this.
        shift: moves by up to this share of the side, along both axes.
        elastic: bends by a smooth random field of this standard deviation, a share of the side.
        contrast: stretches the values around their mean by up to this share.
        brightness: adds up to this share of 255.
        erase: blanks a square of up to this share of the side (DeVries and Taylor 2017,
            arXiv 1708.04552).
    """

    def __init__(
        self,
        degrees: float = 0.0,
        scale: float = 0.0,
        shear_degrees: float = 0.0,
        shift: float = 0.0,
        elastic: float = 0.0,
        contrast: float = 0.0,
        brightness: float = 0.0,
        erase: float = 0.0,
    ) -> None:
        super().__init__()
        self.degrees, self.scale, self.shear_degrees = degrees, scale, shear_degrees
        self.shift, self.elastic = shift, elastic
        self.contrast, self.brightness, self.erase = contrast, brightness, erase

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed pictures, float where anything changes, and ``mask`` as it was."""
        return self.change(values.unsqueeze(1), None, generator).squeeze(1), mask

    def change(
        self, values: Tensor, kept: Tensor | None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return clips ``(batch, frames, 3, height, width)``, all frames of one changed alike.

        Args:
            values: clips of the same shape.
            kept: bool ``(batch, frames)``, at least one a clip; other frames turn black, which
                saves their time. None for all.
            generator: source of all randomness.
        """
        batch, count, _, height, width = values.shape
        device, moves = values.device, self._moves()
        if not (moves or self.contrast or self.brightness or self.erase):
            return values
        if kept is None:
            kept = torch.ones(batch, count, dtype=torch.bool, device=device)
        clip, frames = kept.nonzero()[:, 0], values[kept].float()
        if moves:
            grid = self._grid(batch, height, width, generator).to(device)[clip]
            frames = functional.grid_sample(
                frames, grid, padding_mode="border", align_corners=False
            )
        if self.contrast or self.brightness:
            factor = torch.exp(symmetric(batch, math.log1p(self.contrast), generator)).to(device)
            offset = 255 * symmetric(batch, self.brightness, generator).to(device)
            means = frames.new_zeros(kept.shape)
            means[kept] = frames.mean((1, 2, 3))
            offset = offset + means.sum(1) / kept.sum(1) * (1 - factor)
            factor, offset = (each[clip].view(-1, 1, 1, 1) for each in (factor, offset))
            frames = torch.addcmul(offset, frames, factor).clamp_(0, 255)
        if self.erase:
            frames = frames * self._unerased(batch, height, width, generator).to(device)[clip]
        changed = frames.new_zeros(values.shape)
        changed[kept] = frames
        return changed

    def _moves(self) -> bool:
        return any((self.degrees, self.scale, self.shear_degrees, self.shift, self.elastic))

    def _grid(
        self, batch: int, height: int, width: int, generator: torch.Generator | None
    ) -> Tensor:
        angle = torch.deg2rad(symmetric(batch, self.degrees, generator))
        shear = torch.tan(torch.deg2rad(symmetric(batch, self.shear_degrees, generator)))
        size = torch.exp(symmetric(batch, math.log1p(self.scale), generator))
        cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
        x = 2 * symmetric(batch, self.shift, generator)
        y = 2 * symmetric(batch, self.shift, generator)
        first = torch.stack([cosine, cosine * shear - sine, x], 1)
        second = torch.stack([sine, sine * shear + cosine, y], 1)
        matrix = torch.stack([first, second], 1)
        grid = functional.affine_grid(matrix, [batch, 1, height, width], align_corners=False)
        if self.elastic:
            coarse = torch.randn(batch, 2, 5, 5, generator=generator) * 2 * self.elastic
            field = functional.interpolate(coarse, (height, width), mode="bicubic")
            grid = grid + field.permute(0, 2, 3, 1)
        return grid

    def _unerased(
        self, batch: int, height: int, width: int, generator: torch.Generator | None
    ) -> Tensor:
        side = torch.rand(batch, 1, generator=generator) * self.erase
        kept = []
        for length in (height, width):
            begin = torch.rand(batch, 1, generator=generator) * (1 - side)
            at = (torch.arange(length) + 0.5) / length
            kept.append((at < begin) | (at > begin + side))
        return (kept[0].unsqueeze(2) | kept[1].unsqueeze(1)).unsqueeze(1)


class VideoAugment(Augment):
    """Clips ``(batch, frames, 3, height, width)``: frames dropped, the rest changed as one picture.

    Args:
        image: what happens to all frames of a clip alike; None for nothing.
        drop: share of the valid frames that are taken out of the mask; one always stays.
    """

    def __init__(self, image: ImageAugment | None = None, drop: float = 0.0) -> None:
        super().__init__()
        self.image, self.drop = image, drop

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed clips and the mask ``(batch, frames)`` of the frames that stay."""
        if self.drop:
            valid = values.new_ones(values.shape[:2], dtype=torch.bool) if mask is None else mask
            chance = torch.rand(valid.shape, generator=generator).to(valid.device)
            chance = chance.masked_fill(~valid, -1)
            luckiest = chance == chance.amax(1, keepdim=True)
            mask = valid & ((chance >= self.drop) | luckiest)
        if self.image is not None:
            values = self.image.change(values, mask, generator)
        return values, mask
