"""Random changes of the timing of sounds: where they begin and end, and how fast they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmembed.data.augment.base import Augment, parts, symmetric


class AudioTiming(Augment):
    """Sounds ``(batch, samples)`` cut, made faster or slower, and padded with silence.

    Args:
        sample_rate: of the values, in Hz.
        crop: cuts up to this share of the sound off its start, and again off its end, as a
            recorder does that starts late.
        speed_semitones: played up to this much faster or slower, pitch and formants with it.
        silence_seconds: silence of up to this is put before, and again after, the sound.
    """

    def __init__(
        self,
        sample_rate: int,
        crop: float = 0.0,
        speed_semitones: float = 0.0,
        silence_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self.sample_rate, self.crop = sample_rate, crop
        self.speed_semitones, self.silence_seconds = speed_semitones, silence_seconds

    def forward(
        self, values: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return changed sounds and their mask, mostly of another length.

        Each sound is read at its own speed, from its own start (Catmull-Rom between samples).
        """
        if not (self.crop or self.speed_semitones or self.silence_seconds):
            return values, mask
        batch, longest = values.shape
        lengths = torch.full((batch,), longest).to(values.device) if mask is None else mask.sum(1)
        cut = (torch.rand(2, batch, generator=generator) * self.crop).to(values.device) * lengths
        start, end = cut[0].floor().unsqueeze(1), (lengths - cut[1].floor()).unsqueeze(1)
        speed = 2 ** (symmetric(batch, self.speed_semitones, generator) / 12).to(values.device)
        silence = torch.rand(2, batch, generator=generator) * self.silence_seconds
        before, after = (silence * self.sample_rate).round().to(values.device)
        total = ((end - start).squeeze(1) / speed).round() + before + after
        at = torch.arange(int(total.max()), device=values.device, dtype=values.dtype)
        sample = torch.arange(longest, device=values.device)
        speed, first = speed.unsqueeze(1), start - before.unsqueeze(1) * speed.unsqueeze(1)
        mask = at < total.unsqueeze(1)
        moved = values.new_empty(batch, len(at))
        for rows in parts(moved):
            kept = values[rows] * ((sample >= start[rows]) & (sample < end[rows]))
            kept = functional.pad(kept, (2, 3))  # what lies outside is silent
            source = torch.addcmul(first[rows] + 1, at, speed[rows]).clamp_(0, longest + 1)
            index = source.long()
            part = source.frac_()
            a, b, c, d = (kept[:, i : i + longest + 2].gather(1, index) for i in range(4))
            cubic = (d - a).add_(b - c, alpha=3)
            square = (a + c).sub_(b, alpha=2).sub_(cubic)
            slope = torch.addcmul(c - a, part, square.addcmul_(part, cubic))
            torch.mul(torch.addcmul(b, part, slope, value=0.5), mask[rows], out=moved[rows])
        return moved, mask
