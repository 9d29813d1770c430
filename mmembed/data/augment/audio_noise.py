"""Random noise behind sounds."""

from __future__ import annotations

import torch
from torch import Tensor

from mmembed.data.augment.base import Augment, Range, between, fast_fft_length, parts

SHORTEST = 16  # samples of noise that are drawn


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
        size = fast_fft_length(max(samples, SHORTEST))
        drawn = torch.randn(batch, size, generator=generator)
        drawn[:, 0] *= 2**0.5  # the constant has a real part alone
        spectrum = drawn.view(batch, -1, 2)  # real and imaginary parts
        slope = torch.rand(batch, 1, generator=generator)  # 0 white, 0.5 pink, 1 brown
        octaves = torch.arange(1, size // 2 + 1).log()
        ratio_db = between(self.snr_db, batch, generator).to(values.device)
        noisy = torch.empty_like(values)
        for rows in parts(values):
            coloured = spectrum[rows].mul_(torch.exp(-slope[rows] * octaves).unsqueeze(2))
            noise = torch.fft.irfft(torch.view_as_complex(coloured), size)[:, :samples]
            noise = noise.to(values.device) * valid[rows]
            power = (values[rows] * valid[rows]).square().sum(1, keepdim=True)
            share = power / noise.square().sum(1, keepdim=True).clamp(min=1e-30)
            gain = torch.sqrt(share * 10 ** (-ratio_db[rows] / 10))
            torch.addcmul(values[rows], noise, gain, out=noisy[rows])
        return noisy, mask
