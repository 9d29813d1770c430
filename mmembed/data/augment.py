"""Random changes of whole training batches: pictures, clips and sounds.

Each module takes ``(values, mask)`` and returns ``(values, mask)``, draws anew for every item and
works on all items at once. The same generator (or global seed) gives the same batch. Nothing here
knows files, encoders or labels; evaluation never comes here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

Range = tuple[float, float]


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
        return self.change(values.unsqueeze(1), generator).squeeze(1), mask

    def change(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return ``(batch, frames, 3, height, width)``, all frames of an item changed alike."""
        batch, frames, channels, height, width = values.shape
        if any((self.degrees, self.scale, self.shear_degrees, self.shift, self.elastic)):
            grid = self._grid(batch, height, width, generator).to(values.device)
            grid = grid.repeat_interleave(frames, 0)
            flat = values.reshape(-1, channels, height, width).float()
            moved = functional.grid_sample(flat, grid, padding_mode="border", align_corners=False)
            values = moved.view(batch, frames, channels, height, width)
        if self.contrast or self.brightness:
            values = values.float()
            middle = values.mean((1, 2, 3, 4), keepdim=True)
            factor = torch.exp(_symmetric(batch, math.log1p(self.contrast), generator))
            factor = factor.to(values.device)
            offset = 255 * _symmetric(batch, self.brightness, generator).to(values.device)
            shape = (-1, 1, 1, 1, 1)
            values = (values - middle) * factor.view(shape) + middle + offset.view(shape)
            values = values.clamp(0, 255)
        if self.erase:
            kept = self._kept(batch, height, width, generator).to(values.device)
            values = values.float() * kept[:, None, None]
        return values

    def _grid(
        self, batch: int, height: int, width: int, generator: torch.Generator | None
    ) -> Tensor:
        angle = torch.deg2rad(_symmetric(batch, self.degrees, generator))
        shear = torch.tan(torch.deg2rad(_symmetric(batch, self.shear_degrees, generator)))
        size = torch.exp(_symmetric(batch, math.log1p(self.scale), generator))
        cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
        x = 2 * _symmetric(batch, self.shift, generator)
        y = 2 * _symmetric(batch, self.shift, generator)
        first = torch.stack([cosine, cosine * shear - sine, x], 1)
        second = torch.stack([sine, sine * shear + cosine, y], 1)
        matrix = torch.stack([first, second], 1)
        grid = functional.affine_grid(matrix, [batch, 1, height, width], align_corners=False)
        if self.elastic:
            coarse = torch.randn(batch, 2, 5, 5, generator=generator) * 2 * self.elastic
            field = functional.interpolate(coarse, (height, width), mode="bicubic")
            grid = grid + field.permute(0, 2, 3, 1)
        return grid

    def _kept(
        self, batch: int, height: int, width: int, generator: torch.Generator | None
    ) -> Tensor:
        side = torch.rand(batch, 1, generator=generator) * self.erase
        kept = []
        for length in (height, width):
            begin = torch.rand(batch, 1, generator=generator) * (1 - side)
            at = (torch.arange(length) + 0.5) / length
            kept.append((at < begin) | (at > begin + side))
        return kept[0].unsqueeze(2) | kept[1].unsqueeze(1)


class VideoAugment(Augment):
    """Clips ``(batch, frames, 3, height, width)``: each changed as one picture, frames dropped.

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
        if self.image is not None:
            values = self.image.change(values, generator)
        if self.drop:
            valid = values.new_ones(values.shape[:2], dtype=torch.bool) if mask is None else mask
            chance = torch.rand(valid.shape, generator=generator).to(valid.device)
            chance = chance.masked_fill(~valid, -1)
            luckiest = chance == chance.amax(1, keepdim=True)
            mask = valid & ((chance >= self.drop) | luckiest)
        return values, mask


class AudioAugment(Augment):
    """Sounds ``(batch, samples)`` made faster or slower, padded, filtered, echoing and noisy.

    In the order of the arguments; lengths and mask follow. None or zero leaves a step out.

    Args:
        sample_rate: of the values, in Hz.
        speed_semitones: played up to this much faster or slower, pitch and formants with it.
        silence_seconds: silence of up to this is put before, and again after, the sound.
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
        speed_semitones: float = 0.0,
        silence_seconds: float = 0.0,
        equaliser_db: float = 0.0,
        pass_band_hz: Range | None = None,
        reverb_seconds: Range | None = None,
        snr_db: Range | None = None,
        gain_db: float = 0.0,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.speed_semitones, self.silence_seconds = speed_semitones, silence_seconds
        self.equaliser_db, self.pass_band_hz = equaliser_db, pass_band_hz
        self.reverb_seconds, self.snr_db, self.gain_db = reverb_seconds, snr_db, gain_db

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed sounds and their mask, of another length if speed or silence change it."""
        valid = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
        if self.speed_semitones or self.silence_seconds:
            values, mask = self._moved(values, valid.sum(1), generator)
            valid = mask
        if self.equaliser_db or self.pass_band_hz or self.reverb_seconds:
            values = self._filtered(values, generator) * valid
        if self.snr_db:
            values = values + self._noise(values, valid, generator) * valid
        if self.gain_db:
            gain = _symmetric(len(values), self.gain_db, generator)
            values = values * (10 ** (gain / 20)).unsqueeze(1).to(values.device)
        return values, mask

    def _moved(
        self, values: Tensor, lengths: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Read each sound at its own speed and from its own start (Catmull-Rom between samples)."""
        batch, longest = values.shape
        speed = 2 ** (_symmetric(batch, self.speed_semitones, generator) / 12).to(values.device)
        silence = torch.rand(2, batch, generator=generator) * self.silence_seconds
        before, after = (silence * self.sample_rate).round().to(values.device)
        total = (lengths / speed).round() + before + after
        at = torch.arange(int(total.max()), device=values.device).expand(batch, -1)
        place = (at - before.unsqueeze(1)) * speed.unsqueeze(1)
        whole = place.floor()
        part = (place - whole).to(values.dtype)
        index = whole.long()
        taps = []
        for offset in (-1, 0, 1, 2):
            tap = index + offset
            inside = (tap >= 0) & (tap < lengths.unsqueeze(1))
            taps.append(values.gather(1, tap.clamp(0, longest - 1)) * inside)
        a, b, c, d = taps
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
        low, high = self.reverb_seconds
        duration = low + (high - low) * torch.rand(batch, 1, generator=generator)
        ratio_db = 20 * torch.rand(batch, 1, generator=generator)  # direct to reverberant energy
        seconds = torch.arange(1, int(high * self.sample_rate / 2) + 2) / self.sample_rate
        noise = torch.randn(batch, len(seconds), generator=generator)
        noise = noise * 10 ** (-3 * seconds / duration.clamp(min=1e-3))
        noise = noise / noise.norm(dim=1, keepdim=True).clamp(min=1e-9) * 10 ** (-ratio_db / 20)
        return torch.cat([torch.ones(batch, 1), noise], 1)

    def _noise(self, values: Tensor, valid: Tensor, generator: torch.Generator | None) -> Tensor:
        low, high = self.snr_db or (0.0, 0.0)
        batch, samples = values.shape
        size = _fast_length(samples)
        spectrum = torch.fft.rfft(torch.randn(batch, size, generator=generator))
        slope = torch.rand(batch, 1, generator=generator)  # 0 white, 0.5 pink, 1 brown
        spectrum = spectrum * torch.arange(1, spectrum.shape[1] + 1) ** -slope
        noise = torch.fft.irfft(spectrum, size)[:, :samples].to(values.device)
        snr_db = low + (high - low) * torch.rand(batch, 1, generator=generator).to(values.device)
        power = (values.square() * valid).sum(1, keepdim=True)
        noise_power = (noise.square() * valid).sum(1, keepdim=True).clamp(min=1e-12)
        return noise * torch.sqrt(power / noise_power * 10 ** (-snr_db / 10))


def _symmetric(batch: int, largest: float, generator: torch.Generator | None) -> Tensor:
    """Return ``(batch,)`` drawn evenly from ``-largest`` to ``largest``."""
    return (2 * torch.rand(batch, generator=generator) - 1) * largest


def _fast_length(samples: int) -> int:
    """Return the next length of the form ``2**n`` or ``3 * 2**n``, which an FFT is quick at."""
    power = 1 << max(samples - 1, 0).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= samples else power
