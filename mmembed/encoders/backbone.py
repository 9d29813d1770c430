"""timm models by name, with errors a user can act on."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from torch import nn

from mmembed.errors import ConfigError


def timm_model(name: str, pretrained: bool, **arguments: Any) -> nn.Module:
    """Return a headless timm model (``num_classes=0``), its weights in channels-last order.

    Convolutions are quicker in that order (NVIDIA's tensor cores and oneDNN prefer it), and
    nothing else changes: saved weights and results are the same.

    Args:
        name: any of timm's names, tag included (``vit_tiny_patch16_224.augreg_in21k``).
        pretrained: fetch the weights published under that name.
        **arguments: passed on to the model (``img_size``, ``patch_size``, ``embed_dim``, …).

    Raises:
        ConfigError: no such model, an argument that it does not take, or weights that can't
            be fetched.
    """
    if not timm.is_model(name):
        known = timm.list_models()
        near = difflib.get_close_matches(name.split(".")[0], known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"model {name}: timm has no model of this name{hint}")
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, **arguments)
        return model.to(memory_format=torch.channels_last)
    except TypeError as error:
        raise ConfigError(f"model {name}: timm refuses the model_args: {error}") from None
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        if not pretrained:
            raise ConfigError(f"model {name}: timm can't build it: {error}") from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ConfigError(
            f"model {name}: its pretrained weights can't be fetched ({reason}). Set pretrained: "
            "false, or checkpoint_path in model_args to a local file."
        ) from error


def output_width(model: nn.Module) -> int:
    """Return the width of a headless timm model's pooled output."""
    width: Any = getattr(model, "head_hidden_size", None) or model.num_features
    return int(width)
