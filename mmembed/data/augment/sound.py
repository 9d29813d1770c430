"""Random changes of sounds; knows neither files nor encoders."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmembed.data.augment.base import Augment, between, symmetric

Range = tuple[float, float]


class AudioAugment(Augment):
    """Sounds ``(batch, samples)`` cut, made faster or slower, padded, filtered, echoing, noisy.

    In the order of the arguments; lengths and mask follow. None or zero leaves a step out.

    Args:
        sample_rate: of the values, in Hz.
        crop: cuts up to this share of the sound off its start, and again off its end, as a
            recorder does that starts late.
        dynamics: range of an exponent of the loudness (its envelope over 30 ms): above 0 weak
            parts get weaker still (1 doubles the distance in dB), below 0 they catch up.
        speed_semitones: played up to this much faster or slower, pitch and formants with it.
        silence_seconds: silence of up to this is put before, and again after, the sound.
        aliasing: range of the gain at which the upper half of the frequencies is folded onto the
            lower half and then taken away, as a recorder without a filter at half its rate does
            (0: it is only taken away).
        equaliser_db: standard deviation of a smooth random frequency response.
        pass_band_hz: ``(low, high)``: cuts below a corner of up to ``low`` and above a corner of
            at least ``high``, 12 dB an octave.
        reverb_seconds: range of the reverberation time (60 dB), in exponentially decaying noise.
        snr_db: range of the signal-to-noise ratio; the noise is anything from white to brown.
        gain_db: louder or softer by up to this.
    """

    def __init__(
        self,
        sample_rate: int,
        crop: float = 0.0,
        dynamics: Range | None = None,
        speed_semitones: float = 0.0,
        silence_seconds: float = 0.0,
        aliasing: Range | None = None,
        equaliser_db: float = 0.0,
        pass_band_hz: Range | None = None,
        reverb_seconds: Range | None = None,
        snr_db: Range | None = None,
        gain_db: float = 0.0,
    ) -> None:
        super().__init__()
        self.sample_rate, self.crop, self.dynamics = sample_rate, crop, dynamics
        self.speed_semitones, self.silence_seconds = speed_semitones, silence_seconds
        self.aliasing, self.equaliser_db, self.pass_band_hz = aliasing, equaliser_db, pass_band_hz
        self.reverb_seconds, self.snr_db, self.gain_db = reverb_seconds, snr_db, gain_db

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed sounds and their mask, of another length if speed or silence change it."""
        valid = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
        if self.dynamics:
            values = _expanded(
                values, between(self.dynamics, len(values), generator), self.sample_rate
            )
        if self.crop or self.speed_semitones or self.silence_seconds:
            values, mask = self._moved(values, valid.sum(1), generator)
            valid = mask
        if self.aliasing or self.equaliser_db or self.pass_band_hz or self.reverb_seconds:
            values = self._filtered(values, generator) * valid
        if self.snr_db:
            noise = _noise(values, valid, self.snr_db, generator)
            values = values + noise * valid
        if self.gain_db:
            gain = symmetric(len(values), self.gain_db, generator)
            values = values * (10 ** (gain / 20)).unsqueeze(1).to(values.device)
        return values, mask

    def _moved(
        self, values: Tensor, lengths: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Read each sound at its own speed and from its own start (Catmull-Rom between samples)."""
        batch, longest = values.shape
        cut = (torch.rand(2, batch, generator=generator) * self.crop).to(values.device) * lengths
        start, end = cut[0].floor().unsqueeze(1), (lengths - cut[1].floor()).unsqueeze(1)
        sample = torch.arange(longest, device=values.device)
        kept = values * ((sample >= start) & (sample < end))
        kept = functional.pad(kept, (2, 3))  # what lies outside is silent
        speed = 2 ** (symmetric(batch, self.speed_semitones, generator) / 12).to(values.device)
        silence = torch.rand(2, batch, generator=generator) * self.silence_seconds
        before, after = (silence * self.sample_rate).round().to(values.device)
        total = ((end - start).squeeze(1) / speed).round() + before + after
        at = torch.arange(int(total.max()), device=values.device)
        place = (at - before.unsqueeze(1)) * speed.unsqueeze(1) + start
        place = place.clamp(-1, longest)
        whole = place.floor()
        part = (place - whole).to(values.dtype)
        index = whole.long() + 1
        a, b, c, d = (kept.gather(1, index + offset) for offset in range(4))
        bend = 2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)
        moved = b + 0.5 * part * (c - a + part * bend)
        mask = at < total.unsqueeze(1)
        return moved * mask, mask

    def _filtered(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        batch, samples = values.shape
        tail = self._tail(batch, generator).to(values.device)
        size = _fast_length(samples + tail.shape[1])
        hertz = torch.fft.rfftfreq(size, 1 / self.sample_rate, device=values.device)
        spectrum = torch.fft.rfft(values, size)
        if self.aliasing:
            gain = between(self.aliasing, batch, generator).to(values.device)
            spectrum = spectrum + gain * spectrum.flip(1).conj()
            spectrum = spectrum * (hertz < self.sample_rate / 4)
        if self.reverb_seconds:
            spectrum = spectrum * torch.fft.rfft(tail, size)
        if self.equaliser_db:
            points = self.equaliser_db * torch.randn(batch, 1, 8, generator=generator)
            points = points.to(values.device)
            decibels = functional.interpolate(points, len(hertz), mode="linear")[:, 0]
            spectrum = spectrum * 10 ** (decibels / 20)
        if self.pass_band_hz:
            low, high = self.pass_band_hz
            nyquist = self.sample_rate / 2
            share = torch.rand(2, batch, 1, generator=generator).to(values.device)
            corner = low * share[0]
            spectrum = spectrum / torch.sqrt(1 + (corner / hertz.clamp(min=1)) ** 4)
            corner = high + (nyquist - high) * share[1]
            spectrum = spectrum / torch.sqrt(1 + (hertz / corner) ** 4)
        return torch.fft.irfft(spectrum, size)[:, :samples]

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


def _expanded(values: Tensor, power: Tensor, sample_rate: int) -> Tensor:
    """Raise the envelope of each sound to ``power (batch, 1)`` of its own; its energy stays."""
    block = round(0.010 * sample_rate)
    energy = functional.avg_pool1d(values.square(), block, ceil_mode=True)
    energy = functional.avg_pool1d(energy, 3, 1, 1, count_include_pad=False)
    energy = functional.interpolate(energy.unsqueeze(1), values.shape[1], mode="linear")[:, 0]
    level = energy.sqrt() / energy.amax(1, keepdim=True).sqrt().clamp(min=1e-9)
    changed = values * (level + 1e-3) ** power.to(values.device)
    norms = [x.norm(dim=1, keepdim=True).clamp(min=1e-9) for x in (values, changed)]
    return changed * norms[0] / norms[1]


def _noise(
    values: Tensor, valid: Tensor, snr_db: Range, generator: torch.Generator | None
) -> Tensor:
    """Return noise ``(batch, samples)`` at a ratio within ``snr_db`` to the valid samples."""
    batch, samples = values.shape
    size = _fast_length(samples)
    spectrum = torch.fft.rfft(torch.randn(batch, size, generator=generator))
    slope = torch.rand(batch, 1, generator=generator)  # 0 white, 0.5 pink, 1 brown
    spectrum = spectrum * torch.arange(1, spectrum.shape[1] + 1) ** -slope
    noise = torch.fft.irfft(spectrum, size)[:, :samples].to(values.device)
    ratio_db = between(snr_db, batch, generator).to(values.device)
    power = (values.square() * valid).sum(1, keepdim=True)
    noise_power = (noise.square() * valid).sum(1, keepdim=True).clamp(min=1e-12)
    return noise * torch.sqrt(power / noise_power * 10 ** (-ratio_db / 10))


def _fast_length(samples: int) -> int:
    """Return the next length of the form ``2**n`` or ``3 * 2**n``, which an FFT is quick at."""
    power = 1 << max(samples - 1, 0).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= samples else power
