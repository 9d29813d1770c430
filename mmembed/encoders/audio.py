"""Sounds to features: log-mel spectrogram → conv net → masked pooling."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torchaudio
from torch import Tensor
from typing_extensions import Unpack

from mmembed.encoders.backbone import timm_model
from mmembed.encoders.base import Encoder, channels_last
from mmembed.encoders.model_arguments import checked_model_arguments
from mmembed.encoders.pooling import POOLING
from mmembed.encoders.spectrogram import FormerArguments, Spectrogram, with_former
from mmembed.errors import ConfigError
from mmembed.preprocess.audio import AudioPreprocess

MOST_MEL_WEIGHTS = 1 << 24


class AudioEncoder(Encoder):
    """Values ``(batch, samples)`` in [-1, 1] to features ``(batch, width)``.

    The spectrogram is standardised an item over its valid frames, and silent where the mask is:
    how loud a sound is makes no difference. The conv net reads it as a one-channel picture
    ``(batch, 1, mels, frames)``; its map is averaged over frequency and pooled over the valid
    frames (as PANNs do, Kong et al. 2020, arXiv 1912.10211, with the mask in place of padding).

    Args:
        model: any timm conv net that keeps a ``(batch, channels, height, width)`` map.
        pretrained: start from timm's weights (the first layer's channels are summed to one).
        model_args: arguments of that timm model.
        preprocess: sample rate, segments and padding.
        spectrogram: bands, window and scale of what the conv net sees.
        pooling: ``mean``, ``attention`` or ``gru`` over the valid frames.
        time_masking: longest masked stretch in training, as a share of the frames (SpecAugment,
            Park et al. 2019, arXiv 1904.08779).
        band_masking: widest masked stretch of bands in training, as a share of the bands.
        **former: fields of ``spectrogram`` as version 0.1 took them; they give a warning.

    Raises:
        ConfigError: timm has no such model, or its features are not a map.
    """

    preprocess: AudioPreprocess
    backbone: Any

    def __init__(
        self,
        model: str = "resnet10t",
        pretrained: bool = False,
        model_args: dict[str, Any] | None = None,
        preprocess: AudioPreprocess | None = None,
        spectrogram: Spectrogram | None = None,
        pooling: Literal["mean", "attention", "gru"] = "mean",
        time_masking: float = 0.0,
        band_masking: float = 0.0,
        **former: Unpack[FormerArguments],
    ) -> None:
        super().__init__()
        self._arguments.pop("former", None)
        checked_model_arguments(model_args or {}, "AudioEncoder: model_args")
        self.preprocess = preprocess or AudioPreprocess()
        self.spectrogram = with_former(spectrogram or Spectrogram(), former)
        self.step = round(self.spectrogram.step_seconds * self.preprocess.sample_rate)
        with torch.device("cpu"):  # torchaudio looks at the values that it makes
            self.mel = self._mel().to(torch.get_default_device())
        mels = self.spectrogram.mels
        self.backbone = timm_model(model, pretrained, model_args or {}, channels=1)
        with torch.no_grad():
            training, _ = self.backbone.training, self.backbone.eval()
            probe = self.backbone.forward_features(torch.zeros(1, 1, mels, 2 * mels))
            self.backbone.train(training)
        if probe.ndim != 4:
            raise ConfigError(
                f"AudioEncoder: model {model} gives features {tuple(probe.shape)}, not a map "
                "(batch, channels, height, width). Choose a conv net, such as resnet10t."
            )
        self.width = probe.shape[1]
        self.pooling = POOLING[pooling](self.width)
        self.time_masking, self.band_masking = time_masking, band_masking

    def _mel(self) -> torchaudio.transforms.MelSpectrogram:
        wanted, rate = self.spectrogram, self.preprocess.sample_rate
        mels, window = wanted.mels, round(wanted.window_seconds * rate)
        bins = 1 << (max(window, 1) - 1).bit_length()
        if min(mels, window, self.step) < 1 or wanted.floor < 0 or bins * mels > MOST_MEL_WEIGHTS:
            raise ConfigError(
                f"AudioEncoder: mels {mels}, window_seconds {wanted.window_seconds}, step_seconds "
                f"{wanted.step_seconds} and floor {wanted.floor} must be positive, and a window "
                f"times the mels at most {MOST_MEL_WEIGHTS:,}"
            )
        return torchaudio.transforms.MelSpectrogram(
            rate,
            n_fft=bins,
            win_length=window,
            hop_length=self.step,
            f_min=wanted.lowest_hz,
            f_max=wanted.highest_hz or rate / 2,
            n_mels=mels,
            pad_mode="constant",
        )

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features ``(batch, width)`` of sounds ``(batch, samples)``."""
        spectrogram, valid = self.log_mel(values, mask)
        maps = spectrogram.unsqueeze(1)
        if self.training:
            maps = channels_last(self._masked(spectrogram).unsqueeze(1))
        features = self.backbone.forward_features(maps).mean(2)
        steps, frames = features.shape[-1], spectrogram.shape[-1]
        kept = torch.ceil(valid.sum(1) * steps / frames)
        valid = torch.arange(steps, device=values.device) < kept.unsqueeze(1)
        return self.pooling(features.transpose(1, 2), valid)

    def log_mel(self, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the standardised log-mel ``(batch, mels, frames)`` and its mask.

        The mask ``(batch, frames)`` is true where a frame's centre lies in the sound.
        """
        with torch.autocast(values.device.type, enabled=False):
            mel = self.mel(values.float())
        frames = torch.arange(mel.shape[-1], device=mel.device)
        if mask is None:
            mask = torch.ones_like(values, dtype=torch.bool)
        valid = frames <= (mask.sum(1, keepdim=True) - 1).clamp(min=0) // self.step
        weight = valid.unsqueeze(1).to(mel.dtype)
        count = weight.sum((1, 2), keepdim=True) * mel.shape[1]
        power = (mel * weight).sum((1, 2), keepdim=True) / count
        floor, standardise = self.spectrogram.floor, self.spectrogram.standardise
        mel = torch.log(mel + floor * power + (1e-10 if floor else 1e-6))
        if standardise != "none":
            by_band = standardise == "band"
            total = (mel * weight).sum((2,) if by_band else (1, 2), keepdim=True)
            mel = mel - total / (count / mel.shape[1] if by_band else count)
            variance = (mel.square() * weight).sum((1, 2), keepdim=True) / count
            mel = mel / (variance + 1e-2).sqrt()
        return mel * weight, valid

    def _masked(self, spectrogram: Tensor) -> Tensor:
        for axis, share in ((2, self.time_masking), (1, self.band_masking)):
            longest = int(share * spectrogram.shape[axis])
            if longest > 0:
                spectrogram = torchaudio.functional.mask_along_axis_iid(
                    spectrogram.unsqueeze(1), longest, 0.0, axis + 1
                ).squeeze(1)
        return spectrogram
