"""Weights in a safetensors file: written, and read into the model that they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmembed.errors import SpaceError
from mmembed.errors.plain_text import brief, one_line


def first_not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity; None if there is none.

    Infinity is no weight in any model of timm, but for the bounds of ``gemma4_vit`` with
    ``use_clipped_linears``, which are infinite until its published weights are loaded.
    """
    return next((n for n, t in weights.items() if not bool(torch.isfinite(t).all())), None)


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write tensors on the CPU, each contiguous, to a safetensors file.

    Raises:
        OSError: it can't be written.
    """
    try:
        save_file(weights, path)
    except SafetensorError as error:  # such as a full disk
        raise OSError(one_line(error)) from None


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a safetensors file; none of them is read."""
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def check_shapes(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the names and shapes of a model's tensors with those of a file.

    Raises:
        SpaceError: they differ.
    """
    _compare({name: tuple(t.shape) for name, t in model.state_dict().items()}, shapes)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into a model whose names, shapes and types it has.

    Raises:
        SpaceError: they differ.
    """
    weights = load_file(path)
    _compare(_forms(model.state_dict()), _forms(weights))
    model.load_state_dict(weights)


def _forms(weights: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (*t.shape, str(t.dtype).removeprefix("torch.")) for name, t in weights.items()}


def _compare(model: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    for name in sorted({*model, *file}):
        if model.get(name) != file.get(name):
            there, here = (each.get(name, "nothing") for each in (file, model))
            raise SpaceError(
                f"space.json does not fit model.safetensors: {brief(name)} is {there} in the file "
                f"and {here} in the model that is described"
            )
