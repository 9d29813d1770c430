"""Random noise behind sounds."""

from __future__ import annotations

import torch
from torch import Tensor

from mmembed.data.augment.base import Augment, Range, between, fast_fft_length


class AudioNoise(Augment):
    """Sounds ``(batch, samples)`` with noise that is anything from white to brown.

    Args:
        snr_db: range of the ratio of the sound's energy to the noise's, over the valid samples.
    """

    def __init__(self, snr_db: Range) -> None:
        super().__init__()
        self.snr_db = snr_db

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return noisy sounds, silent outside ``mask``, and ``mask`` as it was."""
        valid = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
        batch, samples = values.shape
        size = fast_fft_length(samples)
        spectrum = torch.fft.rfft(torch.randn(batch, size, generator=generator))
        slope = torch.rand(batch, 1, generator=generator)  # 0 white, 0.5 pink, 1 brown
        spectrum = spectrum * torch.arange(1, spectrum.shape[1] + 1) ** -slope
        noise = torch.fft.irfft(spectrum, size)[:, :samples].to(values.device)
        ratio_db = between(self.snr_db, batch, generator).to(values.device)
        power = (values.square() * valid).sum(1, keepdim=True)
        noise_power = (noise.square() * valid).sum(1, keepdim=True).clamp(min=1e-12)
        noise = noise * torch.sqrt(power / noise_power * 10 ** (-ratio_db / 10))
        return values + noise * valid, mask
