"""timm models by name, with errors a user can act on."""

from __future__ import annotations

import difflib
import os
from typing import Any

import timm
import torch
from timm.models import load_checkpoint
from torch import nn

from mmembed.errors import ConfigError
from mmembed.errors.plain_text import one_line


def timm_model(name: str, pretrained: bool, arguments: dict[str, Any], channels: int) -> nn.Module:
    """Return a headless timm model (``num_classes=0``), its weights in channels-last order.

    Convolutions are quicker in that order (NVIDIA's tensor cores and oneDNN prefer it), and
    nothing else changes: saved weights and results are the same.

    Args:
        name: any of timm's names, tag included (``vit_tiny_patch16_224.augreg_in21k``).
        pretrained: fetch the weights published under that name.
        arguments: passed on to the model (``img_size``, ``patch_size``, ``embed_dim``, …);
            ``checkpoint_path`` is a file to start from: safetensors, or what torch loads with
            ``weights_only``, so that nothing in it runs.
        channels: of its input.

    Raises:
        ConfigError: no such model, an argument that it does not take, or weights that can't
            be fetched or read.
    """
    if not timm.is_model(name):
        known = timm.list_models()
        near = difflib.get_close_matches(name.split(".")[0], known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"model {name}: timm has no model of this name{hint}")
    arguments = {"in_chans": channels, **arguments}
    if arguments["in_chans"] != channels:
        raise ConfigError(
            f"model {name}: model_args.in_chans {arguments['in_chans']}, but its input has "
            f"{channels} channels"
        )
    checkpoint = arguments.pop("checkpoint_path", None)
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, **arguments)
    except TypeError as error:
        raise ConfigError(f"model {name}: timm refuses the model_args: {one_line(error)}") from None
    except Exception as error:  # timm and torch raise all kinds over arguments
        if not (pretrained and isinstance(error, (RuntimeError, OSError, ValueError, KeyError))):
            raise ConfigError(f"model {name}: timm can't build it: {one_line(error)}") from None
        raise ConfigError(
            f"model {name}: its pretrained weights can't be fetched ({one_line(error)}). Set "
            "pretrained: false, or checkpoint_path in model_args to a local file."
        ) from error
    if checkpoint is not None:
        _load(model, str(checkpoint))
    return model.to(memory_format=torch.channels_last)


def _load(model: nn.Module, checkpoint: str) -> None:
    if not os.path.isfile(checkpoint):
        raise ConfigError(f"model_args.checkpoint_path {checkpoint}: no such file")
    try:
        load_checkpoint(model, checkpoint, weights_only=True)
    except Exception as error:  # timm, torch and safetensors raise all kinds over a bad file
        reason = one_line(error)
        raise ConfigError(
            f"model_args.checkpoint_path {checkpoint}: can't be loaded: {reason}"
        ) from None


def output_width(model: nn.Module) -> int:
    """Return the width of a headless timm model's pooled output."""
    width: Any = getattr(model, "head_hidden_size", None) or model.num_features
    return int(width)
