"""The encoder contract, and how an encoder is described in JSON and built again from it.

An encoder turns preprocessed values into one feature vector an item. It owns its preprocess, so
that the two cannot drift apart. It knows nothing of the shared space, of files or of training.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmembed.data.preprocess import Preprocess
from mmembed.errors import SpaceError


class Encoder(nn.Module, ABC):
    """A tower: values and mask of one modality to features ``(batch, width)``.

    A subclass sets :attr:`width` and :attr:`preprocess` in its ``__init__`` and implements
    :meth:`forward`. Its constructor's arguments must be plain values, preprocess dataclasses or
    other encoders: they are what ``space.json`` keeps.
    """

    width: int
    preprocess: Preprocess
    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Encoder:
        """Remember the constructor's arguments for :func:`describe`."""
        self = super().__new__(cls)
        if args or kwargs or "_arguments" not in self.__dict__:
            bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs)
            bound.apply_defaults()
            given = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, "_arguments", given)
        return self

    @abstractmethod
    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features ``(batch, width)``.

        Args:
            values: a batch of what :attr:`preprocess` returns, padded along its variable axis.
            mask: bool ``(batch, length)``, true where values are real; None if nothing varies.
        """


def describe(part: Any) -> Any:
    """Return ``part`` (an encoder, a preprocess, or plain values) as JSON-ready data.

    Weights are saved apart, so ``pretrained`` is described as false: building again never
    downloads anything.
    """
    if isinstance(part, Encoder):
        arguments = dict(part._arguments)
        if "preprocess" in arguments:
            arguments["preprocess"] = part.preprocess
        if "pretrained" in arguments:
            arguments["pretrained"] = False
        return {"class_path": _class_path(part), "init_args": describe(arguments)}
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
        return {"class_path": _class_path(part), "init_args": describe(fields)}
    if isinstance(part, dict):
        return {str(key): describe(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [describe(value) for value in part]
    if isinstance(part, Path):
        return str(part)
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    raise SpaceError(f"{type(part).__name__}: an encoder's argument of this type can't be saved")


def build(description: Any) -> Any:
    """Build again what :func:`describe` returned.

    Raises:
        SpaceError: a class is missing, is neither an encoder nor a preprocess, or refuses its
            arguments.
    """
    if isinstance(description, list):
        return [build(value) for value in description]
    if not isinstance(description, dict):
        return description
    if set(description) != {"class_path", "init_args"}:
        return {key: build(value) for key, value in description.items()}
    path = description["class_path"]
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpaceError(f"class {path} can't be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, (Encoder, Preprocess))):
        raise SpaceError(f"class {path} is neither an Encoder nor a Preprocess")
    try:
        return found(**build(description["init_args"]))
    except TypeError as error:
        raise SpaceError(f"class {path} refuses the saved arguments: {error}") from None


def _class_path(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def normalise(values: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return pictures ``(..., 3, height, width)`` in 0–255 as ``(values / 255 - mean) / std``."""
    dtype = mean.dtype if values.dtype == torch.uint8 else values.dtype
    return (values.to(dtype) / 255 - mean) / std
