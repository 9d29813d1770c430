"""Base class of random changes of training batches, their chain, and the draws they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

Range = tuple[float, float]
CACHED_VALUES = 1 << 18  # of a part of a batch that is worked on at a time by a CPU


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


class Chain(Augment):
    """Several changes one after the other; each draws on from where the one before stopped.

    Args:
        steps: modules ``(values, mask, generator) -> (values, mask)``.
    """

    def __init__(self, steps: Sequence[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the values and the mask that the last step returns."""
        for step in self.steps:
            values, mask = step(values, mask, generator)
        return values, mask


def parts(values: Tensor) -> Iterator[slice]:
    """Yield slices of the rows of a batch ``(batch, samples)``, few enough for a CPU's cache.

    Elsewhere all rows are one part. A step takes several passes over a batch; a part that stays
    in the cache makes each of them several times as quick.
    """
    batch, samples = values.shape
    rows = max(1, CACHED_VALUES // max(1, samples)) if values.device.type == "cpu" else batch
    for begin in range(0, batch, rows):
        yield slice(begin, begin + rows)


def between(limits: Range, batch: int, generator: torch.Generator | None) -> Tensor:
    """Return ``(batch, 1)`` drawn evenly from the first of ``limits`` to the second."""
    low, high = limits
    return low + (high - low) * torch.rand(batch, 1, generator=generator)


def symmetric(batch: int, largest: float, generator: torch.Generator | None) -> Tensor:
    """Return ``(batch,)`` drawn evenly from ``-largest`` to ``largest``."""
    return (2 * torch.rand(batch, generator=generator) - 1) * largest


def fast_fft_length(samples: int) -> int:
    """Return the next length of the form ``2**n`` or ``3 * 2**n``, which an FFT is quick at."""
    power = 1 << max(samples - 1, 0).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= samples else power
