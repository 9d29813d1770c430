"""The size of a model, known before any of its memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmembed.errors import SpaceError

BESIDE_BYTES = 256 << 20  # tables that a model makes for itself and does not save
STEPS, STEPS_A_TENSOR = 5_000, 100  # timm's hungriest, MaxViT, takes 22 a tensor

Model = TypeVar("Model", bound=nn.Module)


def sketch(make: Callable[[], Model], tensors: int, weight_bytes: int) -> Model:
    """Return the model that ``make`` makes, its tensors without memory (on the meta device).

    A stranger's description may ask for a model of any size; his file holds what it holds. So no
    tensor made on the way, nor the model's own together, may be larger than the file and
    ``BESIDE_BYTES``, and no more steps are taken than so many tensors need.

    Args:
        make: makes a model of torch's factory functions.
        tensors: number of tensors in the file.
        weight_bytes: their size.

    Raises:
        SpaceError: the model is larger.
    """
    limit = _Limit(weight_bytes + BESIDE_BYTES, STEPS + STEPS_A_TENSOR * tensors)
    with ExitStack() as stack:
        stack.enter_context(torch.device("meta"))
        stack.enter_context(limit)
        model = make()
    total = sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    limit.check(total)
    return model


class _Limit(TorchDispatchMode):
    def __init__(self, most_bytes: int, most_steps: int) -> None:
        super().__init__()
        self.most_bytes, self.steps_left = most_bytes, most_steps

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self.steps_left -= 1
        for each in made if isinstance(made, (list, tuple)) else [made]:
            self.check(each.untyped_storage().nbytes() if isinstance(each, Tensor) else 0)
        return made

    def check(self, size: int) -> None:
        if size > self.most_bytes or self.steps_left < 0:
            raise SpaceError("it describes a larger model than model.safetensors holds")
