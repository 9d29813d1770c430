"""Steps whose loss, gradients or buffers are not finite: skipped, counted, and a few in a row stop.

Infinite or NaN values reach every weight in one step, and nothing brings them back. A buffer
counts too: a BatchNorm's running variance may get infinite while the loss still looks well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from mmembed.errors import MmembedError
from mmembed.training.optim import LEARNING_RATE

MOST_IN_A_ROW = 5
LEAST_SCALE = 1.0  # of the loss in fp16; gradients that are infinite above it are the scale's doing


class SkipNonFiniteSteps(pl.Callback):
    """Skips a step whose loss, gradient or buffer is not finite, and stops after five in a row.

    A skipped step leaves the weights, the optimizer's state and the buffers as they were before
    it; the schedule of the learning rate goes on. With accumulated gradients it is the whole
    step that is skipped, on all devices. Steps that the gradient scaler of fp16 skips to find
    its scale are its own and not counted.

    Args:
        after_skip: called after each skipped step.

    Attributes:
        skipped: steps skipped so far, those before a resumed checkpoint included.
    """

    def __init__(self, after_skip: Callable[[], None] = lambda: None) -> None:
        self._after_skip = after_skip
        self.skipped = self._in_a_row = 0
        self._loss: float | None = None
        self._before: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the number of skipped steps, for checkpoints."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the buffers as they are before the step's first batch."""
        if self._before is None:
            self._before = {name: buffer.clone() for name, buffer in _buffers(pl_module)}

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Look at the loss of a batch."""
        if not torch.isfinite(loss):
            self._loss = float(loss.detach())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        """Take the step back if something is not finite.

        Raises:
            MmembedError: as the steps before, five in a row.
        """
        before, self._before = self._before or {}, None
        loss, self._loss = self._loss, None
        culprit = f"the loss is {loss}" if loss is not None else _buffer(pl_module, before)
        if not culprit and not _scaling(trainer):
            culprit = _gradient(pl_module)
        if not trainer.strategy.reduce_boolean_decision(bool(culprit), all=False):
            self._in_a_row = 0
            return
        culprit = culprit or "a tensor on another device is not finite"
        with torch.no_grad():
            for name, buffer in _buffers(pl_module):
                buffer.copy_(before[name])
        for parameter in pl_module.parameters():
            parameter.grad = None  # optimizers pass such parameters over
        self._after_skip()
        self.skipped += 1
        self._in_a_row += 1
        step = trainer.global_step
        if self._in_a_row == MOST_IN_A_ROW:
            raise MmembedError(
                f"{culprit} at step {step}, and the {MOST_IN_A_ROW - 1} steps before it were "
                f"skipped as well{_broken_weight(pl_module)}: lower {LEARNING_RATE}, or train in "
                "fp32 (trainer.precision: 32-true)"
            )
        if self.skipped == 1:
            pl.utilities.rank_zero_warn(
                f"step {step} is skipped: {culprit}. Skipped steps are counted; "
                f"{MOST_IN_A_ROW} in a row stop the run."
            )


def skipped_steps(trainer: pl.Trainer) -> int:
    """Return how many steps of a run were skipped."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return sum(each.skipped for each in callbacks if isinstance(each, SkipNonFiniteSteps))


def _buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Return the buffers that a checkpoint keeps."""
    kept = []
    for prefix, part in module.named_modules():
        for name, buffer in part._buffers.items():
            if buffer is not None and name not in part._non_persistent_buffers_set:
                kept.append((f"{prefix}.{name}" if prefix else name, buffer))
    return kept


def _buffer(module: nn.Module, before: dict[str, Tensor]) -> str:
    """Say which buffer is not finite that was so before; empty if none."""
    floating = [(n, b) for n, b in _buffers(module) if b.is_floating_point()]
    if _clearly_finite(buffer for _, buffer in floating):
        return ""
    for name, buffer in floating:
        if not bool((buffer.isfinite() | ~before[name].isfinite()).all()):
            return f"the buffer {name} is not finite"
    return ""


def _gradient(module: nn.Module) -> str:
    """Say which gradient is not finite; empty if none."""
    given = [(n, p.grad) for n, p in module.named_parameters() if p.grad is not None]
    if _clearly_finite(gradient for _, gradient in given):
        return ""
    broken = (name for name, gradient in given if not bool(gradient.isfinite().all()))
    return "".join(f"the gradient of {name} is not finite" for name in islice(broken, 1))


def _broken_weight(module: nn.Module) -> str:
    for name, weight in module.named_parameters():
        if not bool(weight.isfinite().all()):
            return f" (the weight {name} is not finite)"
    return ""


def _clearly_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether the length of all together is finite; that of finite values may overflow."""
    return bool(nn.utils.get_total_norm(list(tensors)).isfinite())


def _scaling(trainer: pl.Trainer) -> bool:
    """Whether a gradient scaler looks after infinite gradients, and can still lower its scale."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return scaler is not None and scaler.is_enabled() and scaler.get_scale() > LEAST_SCALE
