"""What every random change of a training batch promises, and the draw they share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Augment(nn.Module, ABC):
    """A random change of a batch; the identity when all its ranges are zero or None.

    Draws are made on the CPU, so that a batch is changed alike on every device.
    """

    @abstractmethod
    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed values and their mask.

        Args:
            values: a padded batch, ``(batch, length, ...)`` or ``(batch, 3, height, width)``.
            mask: bool ``(batch, length)``, true where values are real; None where nothing varies.
            generator: source of all randomness; torch's global one unless given.
        """


def between(limits: tuple[float, float], batch: int, generator: torch.Generator | None) -> Tensor:
    """Return ``(batch, 1)`` drawn evenly from the first of ``limits`` to the second."""
    low, high = limits
    return low + (high - low) * torch.rand(batch, 1, generator=generator)


def symmetric(batch: int, largest: float, generator: torch.Generator | None) -> Tensor:
    """Return ``(batch,)`` drawn evenly from ``-largest`` to ``largest``."""
    return (2 * torch.rand(batch, generator=generator) - 1) * largest
