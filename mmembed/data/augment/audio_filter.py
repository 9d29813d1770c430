"""Random filters of sounds: aliasing, reverberation, an equaliser and a pass band."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mmembed.data.augment.base import Augment, Range, between, fast_fft_length, parts


class AudioFilter(Augment):
    """Sounds ``(batch, samples)`` as another microphone in another room would record them.

    In the order aliasing, reverberation, equaliser, pass band; None or zero leaves one out.

    Args:
        sample_rate: of the values, in Hz.
        aliasing: range of the gain at which the upper half of the frequencies is folded onto the
            lower half and then taken away, as a recorder without a filter at half its rate does
            (0: it is only taken away).
        equaliser_db: standard deviation of a smooth random frequency response.
        pass_band_hz: ``(low, high)``: cuts below a corner of up to ``low`` and above a corner of
            at least ``high``, 12 dB an octave.
        reverb_seconds: range of the reverberation time (60 dB), in exponentially decaying noise.
    """

    def __init__(
        self,
        sample_rate: int,
        aliasing: Range | None = None,
        equaliser_db: float = 0.0,
        pass_band_hz: Range | None = None,
        reverb_seconds: Range | None = None,
    ) -> None:
        super().__init__()
        self.sample_rate, self.aliasing, self.equaliser_db = sample_rate, aliasing, equaliser_db
        self.pass_band_hz, self.reverb_seconds = pass_band_hz, reverb_seconds

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return filtered sounds, silent outside ``mask``, and ``mask`` as it was."""
        if not (self.aliasing or self.equaliser_db or self.pass_band_hz or self.reverb_seconds):
            return values, mask
        (batch, samples), device = values.shape, values.device
        tail = self._tail(batch, generator).to(device)
        size = fast_fft_length(samples + tail.shape[1])
        hertz = torch.fft.rfftfreq(size, 1 / self.sample_rate, device=device)
        if self.aliasing:
            folded = between(self.aliasing, batch, generator).to(device)
        if self.equaliser_db:
            points = torch.randn(batch, 1, 8, generator=generator).to(device)
        if self.pass_band_hz:
            shares = torch.rand(2, batch, 1, generator=generator).to(device)
        filtered = torch.empty_like(values)
        for rows in parts(values):
            spectrum = torch.fft.rfft(values[rows], size)
            if self.aliasing:
                spectrum = spectrum + folded[rows] * spectrum.flip(1).conj()
                spectrum = spectrum * (hertz < self.sample_rate / 4)
            if self.reverb_seconds:
                spectrum = spectrum * torch.fft.rfft(tail[rows], size)
            if self.equaliser_db:
                spectrum = _amplified(spectrum, self._equaliser(points[rows], len(hertz)))
            if self.pass_band_hz:
                spectrum = _amplified(spectrum, self._pass_band(shares[:, rows], hertz))
            filtered[rows] = torch.fft.irfft(spectrum, size)[:, :samples]
        return filtered if mask is None else filtered.mul_(mask), mask

    def _equaliser(self, points: Tensor, bins: int) -> Tensor:
        """Return a smooth gain ``(batch, bins)`` through ``points`` ``(batch, 1, points)``."""
        nepers = points * (self.equaliser_db * math.log(10) / 20)
        return functional.interpolate(nepers, bins, mode="linear")[:, 0].exp()

    def _pass_band(self, shares: Tensor, hertz: Tensor) -> Tensor:
        """Return a gain ``(batch, bins)`` between corners drawn by ``shares`` ``(2, batch, 1)``."""
        low, high = self.pass_band_hz or (0.0, 0.0)
        below = low * shares[0] / hertz.clamp(min=1)
        above = hertz / (high + (self.sample_rate / 2 - high) * shares[1])
        return torch.rsqrt((1 + below**4) * (1 + above**4))

    def _tail(self, batch: int, generator: torch.Generator | None) -> Tensor:
        """Return impulse responses ``(batch, samples)``: the direct sound, then fading noise."""
        if not self.reverb_seconds:
            return torch.ones(batch, 1)
        duration = between(self.reverb_seconds, batch, generator)
        ratio_db = 20 * torch.rand(batch, 1, generator=generator)  # direct to reverberant energy
        longest = self.reverb_seconds[1]
        seconds = torch.arange(1, int(longest * self.sample_rate / 2) + 2) / self.sample_rate
        noise = torch.randn(batch, len(seconds), generator=generator)
        noise = noise * 10 ** (-3 * seconds / duration.clamp(min=1e-3))
        noise = noise / noise.norm(dim=1, keepdim=True).clamp(min=1e-9) * 10 ** (-ratio_db / 20)
        return torch.cat([torch.ones(batch, 1), noise], 1)


def _amplified(spectrum: Tensor, gain: Tensor) -> Tensor:
    """Return ``spectrum`` times a real gain, changed in place: quicker than a complex product."""
    torch.view_as_real(spectrum).mul_(gain.unsqueeze(2))
    return spectrum
