"""Random changes of the loudness of sounds: its dynamics, and a gain."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmembed.data.augment.base import Augment, Range, between, symmetric


class AudioDynamics(Augment):
    """Sounds ``(batch, samples)`` whose weak parts get weaker, or catch up; the energy stays.

    Args:
        sample_rate: of the values, in Hz.
        exponent: range of an exponent of the loudness (its envelope over 30 ms): above 0 weak
            parts get weaker still (1 doubles the distance in dB), below 0 they catch up.
    """

    def __init__(self, sample_rate: int, exponent: Range) -> None:
        super().__init__()
        self.sample_rate, self.exponent = sample_rate, exponent

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed sounds, and ``mask`` as it was."""
        power = between(self.exponent, len(values), generator)
        block = round(0.010 * self.sample_rate)
        energy = functional.avg_pool1d(values.square(), block, ceil_mode=True)
        energy = functional.avg_pool1d(energy, 3, 1, 1, count_include_pad=False)
        energy = functional.interpolate(energy.unsqueeze(1), values.shape[1], mode="linear")[:, 0]
        level = energy.sqrt() / energy.amax(1, keepdim=True).sqrt().clamp(min=1e-9)
        changed = values * (level + 1e-3) ** power.to(values.device)
        norms = [x.norm(dim=1, keepdim=True).clamp(min=1e-9) for x in (values, changed)]
        return changed * norms[0] / norms[1], mask


class AudioGain(Augment):
    """Sounds ``(batch, samples)`` made louder or softer.

    Args:
        gain_db: by up to this, either way.
    """

    def __init__(self, gain_db: float) -> None:
        super().__init__()
        self.gain_db = gain_db

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed sounds, and ``mask`` as it was."""
        gain = symmetric(len(values), self.gain_db, generator)
        return values * (10 ** (gain / 20)).unsqueeze(1).to(values.device), mask
