"""The code that people write themselves: files to tensors, and batches of them to unit vectors.

The pictures' model is an open_clip model, that of sounds a ResNet-18 on 64 mels with the weights
of mmembed's space, that of videos the pictures' over 8 frames.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import open_clip
import soundfile
import timm
import torch
import torchaudio
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

NAME, RATE, FRAMES = "vits16", 16000, 8
BATCH = {"image": 32, "audio": 32, "video": 4}


def model_and_decoder(
    kind: str, weights: Path
) -> tuple[Callable[[Tensor], np.ndarray], Callable[[str], Tensor]]:
    """Return a function of a batch to unit vectors ``(batch, dim)``, and one of a path."""
    if kind == "audio":
        listener = Listener(weights / "audio").eval()
        return _unit(listener), read_sound
    open_clip.add_model_config(weights / "clip")
    checkpoint = str(weights / "clip" / "clip.safetensors")
    clip, _, transform = open_clip.create_model_and_transforms(NAME, pretrained=checkpoint)
    clip.eval()
    if kind == "image":
        return _unit(clip.encode_image), Pictures(transform)
    return _unit(lambda clips: _pooled(clip, clips)), Clips(transform)


def _unit(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], np.ndarray]:
    @torch.inference_mode()
    def embed(batch: Tensor) -> np.ndarray:
        return nn.functional.normalize(model(batch), dim=-1).numpy()

    return embed


def _pooled(clip: nn.Module, clips: Tensor) -> Tensor:
    vectors = clip.encode_image(clips.flatten(0, 1))
    return vectors.unflatten(0, clips.shape[:2]).mean(1)


class Pictures:
    """Opens a picture and applies a transform of torchvision."""

    def __init__(self, transform: Callable[[Image.Image], Tensor]) -> None:
        self.transform = transform

    def __call__(self, path: str) -> Tensor:
        return self.transform(Image.open(path))


class Clips(Pictures):
    """Decodes a video from its beginning and keeps frames at uniform places."""

    def __call__(self, path: str) -> Tensor:
        with av.open(path) as container:
            count = container.streams.video[0].frames
            wanted = {int((i + 0.5) / FRAMES * count) for i in range(FRAMES)}
            frames = []
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    frames.append(self.transform(frame.to_image()))
                if len(frames) == len(wanted):
                    break
        return torch.stack(frames)


def read_sound(path: str) -> Tensor:
    """Read a sound and mix it down."""
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.mean(1))


class Listener(nn.Module):
    """Log-mel spectrogram, ResNet-18, projection: what mmembed's encoder does, without masks."""

    def __init__(self, space: Path) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            RATE, 512, 400, 160, f_min=20.0, n_mels=64, pad_mode="constant"
        )
        self.backbone = timm.create_model("resnet18", in_chans=1, num_classes=0)
        saved = load_file(space / "model.safetensors")
        self.backbone.load_state_dict(_under(saved, "encoders.audio.backbone."))
        layers = _under(saved, "projections.audio.layers.")
        dim, width = layers["2.weight"].shape
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Identity(), nn.Linear(width, dim))
        self.head.load_state_dict(layers)

    def forward(self, samples: Tensor) -> Tensor:
        mel = self.mel(samples)
        mel = torch.log(mel + 1e-3 * mel.mean((1, 2), keepdim=True) + 1e-10)
        mel = mel - mel.mean((1, 2), keepdim=True)
        mel = mel / (mel.square().mean((1, 2), keepdim=True) + 1e-2).sqrt()
        return self.head(self.backbone(mel.unsqueeze(1)))


def _under(saved: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
