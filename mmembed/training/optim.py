"""Optimizer and learning-rate schedule of a training run: groups of weights, warm-up, cosine."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from mmembed.errors import ConfigError
from mmembed.errors.plain_text import one_line

OptimizerCallable = Callable[[Iterable], Optimizer]
SchedulerCallable = Callable[[Optimizer], LRScheduler]

ADAMW: dict[str, Any] = {"lr": 1e-3, "betas": [0.9, 0.98], "weight_decay": 0.05}
LEARNING_RATE = "model.optimizer.init_args.lr"


class Schedule(ABC):
    """A schedule of the learning rate that knows how many steps a run has."""

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor of the learning rate at ``step``, 0 for the first."""


class WarmupCosine(Schedule):
    """A linear rise from 0, then a half cosine down to 0 (Loshchilov and Hutter 2017).

    Args:
        warmup_share: share of the steps that rise.

    Raises:
        ConfigError: the share is not in [0, 1].
    """

    def __init__(self, warmup_share: float = 0.1) -> None:
        if not 0 <= warmup_share <= 1:
            raise ConfigError(f"model.schedule.warmup_share {warmup_share}: must be in [0, 1]")
        self.warmup_share = warmup_share

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor, in [0, 1], at ``step``."""
        warmup_steps = round(self.warmup_share * total_steps)
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        share = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Return the trained weights in two groups: those that decay, and those that do not.

    Biases, norms and scalars do not decay, whatever weight decay the optimizer has.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2]},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def make_optimizer(module: nn.Module, optimizer: OptimizerCallable | None = None) -> Optimizer:
    """Return an optimizer of the weights of ``module``.

    Args:
        module: its trained weights are taken.
        optimizer: makes one of groups of weights; None for AdamW (Loshchilov and Hutter 2019)
            with :data:`ADAMW`.

    Raises:
        ConfigError: the optimizer takes no groups, or refuses its own arguments.
    """
    groups = parameter_groups(module)
    try:
        return AdamW(groups, **ADAMW) if optimizer is None else optimizer(groups)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.optimizer: can't be made: {one_line(str(error))}") from None


def make_schedule(
    schedule: Schedule | SchedulerCallable | None, optimizer: Optimizer, total_steps: float
) -> dict[str, Any]:
    """Return Lightning's description of a schedule.

    Args:
        schedule: of mmembed, which moves every step, or of torch, which moves every epoch; one
            that watches a score watches its ``monitor``, else the training loss. None for
            :class:`WarmupCosine`.
        optimizer: the schedule moves its learning rate.
        total_steps: steps of the run; infinite for a run without an end.

    Raises:
        ConfigError: the schedule needs an end that the run lacks.
    """
    chosen = schedule or WarmupCosine()
    if not isinstance(chosen, Schedule):
        scheduler = chosen(optimizer)
        monitor = getattr(scheduler, "monitor", "train/loss_epoch")
        return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}
    if math.isinf(total_steps):
        raise ConfigError(
            "model.schedule: needs a run that ends; set trainer.max_epochs or trainer.max_steps, "
            "or choose torch.optim.lr_scheduler.ConstantLR"
        )
    steps = int(total_steps)
    scheduler = LambdaLR(optimizer, lambda step: chosen.factor(step, steps))
    return {"scheduler": scheduler, "interval": "step"}
