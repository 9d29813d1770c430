"""Which weights decay, and how the learning rate moves."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw(module: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) without decay of biases, norms and scalars."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))


def warmup_cosine(optimizer: AdamW, warmup_steps: int, total_steps: int) -> LambdaLR:
    """Return a schedule: linear from 0 over ``warmup_steps``, then a half cosine down to 0."""
    return LambdaLR(optimizer, lambda step: warmup_cosine_factor(step, warmup_steps, total_steps))


def warmup_cosine_factor(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return the factor of the learning rate, in [0, 1], at ``step``."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    share = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
