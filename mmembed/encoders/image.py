"""Pictures to features: a patch-embedding ViT, or any other timm image model."""

from __future__ import annotations

from typing import Any

import torch
from timm.data import resolve_model_data_config
from torch import Tensor

from mmembed.encoders.backbone import output_width, timm_model
from mmembed.encoders.base import Encoder, channels_last, normalise
from mmembed.encoders.model_arguments import checked_model_arguments
from mmembed.errors import ConfigError
from mmembed.preprocess.image import RESAMPLING, ImagePreprocess


class ImageEncoder(Encoder):
    """Values ``(batch, 3, size, size)`` in 0–255 to features ``(batch, width)``.

    The default is the patch-embedding Vision Transformer of Dosovitskiy et al. (2021,
    arXiv 2010.11929).

    Args:
        model: any timm model name.
        pretrained: start from the weights that timm publishes under that name.
        model_args: arguments of that timm model, such as ``img_size``, ``patch_size``,
            ``embed_dim``, ``depth``, ``num_heads``, ``drop_rate``, ``drop_path_rate``.
        preprocess: size and normalisation; None takes those the model was made for.

    Raises:
        ConfigError: timm has no such model, or it does not take these arguments.
    """

    preprocess: ImagePreprocess
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str = "vit_tiny_patch16_224",
        pretrained: bool = False,
        model_args: dict[str, Any] | None = None,
        preprocess: ImagePreprocess | None = None,
    ) -> None:
        super().__init__()
        arguments = dict(model_args or {})
        checked_model_arguments(arguments, "ImageEncoder: model_args")
        if preprocess is not None and "img_size" not in arguments and "vit" in model:
            arguments["img_size"] = preprocess.size
        self.backbone = timm_model(model, pretrained, arguments, channels=3)
        self.width = output_width(self.backbone)
        self.preprocess = preprocess or _published_preprocess(self.backbone, arguments)
        size = arguments.get("img_size", self.preprocess.size)
        if size not in (self.preprocess.size, (self.preprocess.size,) * 2):
            raise ConfigError(
                f"ImageEncoder {model}: model_args.img_size {size} and preprocess.size "
                f"{self.preprocess.size} differ"
            )
        if not len(self.preprocess.mean) == len(self.preprocess.std) == 3:
            raise ConfigError("ImageEncoder: mean and std of the preprocess need three values each")
        shape = (3, 1, 1)
        self.register_buffer("mean", torch.tensor(self.preprocess.mean).view(shape), False)
        self.register_buffer("std", torch.tensor(self.preprocess.std).view(shape), False)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features ``(batch, width)`` of pictures ``(batch, 3, size, size)``."""
        pictures = normalise(values, self.mean, self.std)
        return self.backbone(channels_last(pictures) if self.training else pictures)


def _published_preprocess(model: torch.nn.Module, arguments: dict[str, Any]) -> ImagePreprocess:
    config = resolve_model_data_config(model)
    interpolation = config["interpolation"]
    size = arguments.get("img_size", config["input_size"][-1])
    return ImagePreprocess(
        size=size if isinstance(size, int) else size[0],
        resize="squash" if config["crop_mode"] == "squash" else "crop",
        crop_fraction=float(config["crop_pct"]),
        interpolation=interpolation if interpolation in RESAMPLING else "bicubic",
        mean=config["mean"],
        std=config["std"],
    )
