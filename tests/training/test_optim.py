"""Optimizer and schedule: groups that decay or not, and a learning rate that moves as said."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import nn

from mmembed.errors import ConfigError
from mmembed.training.optim import (
    ADAMW,
    Schedule,
    WarmupCosine,
    make_optimizer,
    make_schedule,
    parameter_groups,
)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def steps(optimizer: torch.optim.Optimizer, model: nn.Module, count: int = 5) -> list[torch.Tensor]:
    values = torch.linspace(-1, 1, 12).view(4, 3)
    for _ in range(count):
        optimizer.zero_grad()
        model(values).square().sum().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def test_the_usual_optimizer_steps_to_the_bit_as_it_always_did(model: nn.Module) -> None:
    before = [p.detach().clone() for p in model.parameters()]
    ours = steps(make_optimizer(model), model)
    with torch.no_grad():
        for p, old in zip(model.parameters(), before, strict=True):
            p.copy_(old)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    theirs = steps(torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98)), model)
    assert all(torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop, torch.optim.NAdam]
)
def test_norms_biases_and_scalars_decay_under_no_optimizer(model: nn.Module, kind: Any) -> None:
    made = make_optimizer(model, partial(kind, lr=0.1, weight_decay=0.3))
    decayed, spared = made.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3), (2, 4)]
    assert [tuple(p.shape) for p in spared["params"]] == [(4,), (4,), (4,), (2,)]


def test_frozen_weights_are_in_no_group(model: nn.Module) -> None:
    model[0].requires_grad_(False)
    decayed, spared = parameter_groups(model)
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 4)]
    assert len(spared["params"]) == 3


@pytest.mark.parametrize(
    "kind",
    [partial(torch.optim.AdamW, lr=-1.0), torch.optim.LBFGS, torch.optim.lr_scheduler.StepLR],
)
def test_an_optimizer_that_can_not_be_made_is_one_line(model: nn.Module, kind: Any) -> None:
    with pytest.raises(ConfigError, match="model.optimizer: can't be made: ") as caught:
        make_optimizer(model, kind)
    assert "\n" not in str(caught.value)


def test_a_schedule_warms_up_and_falls_to_zero() -> None:
    schedule = WarmupCosine(0.1)
    factors = [schedule.factor(step, 100) for step in range(101)]
    assert factors[0] < 0.1
    assert max(factors) == factors[10] == 1.0
    assert all(a >= b for a, b in pairwise(factors[10:]))
    assert factors[100] == pytest.approx(0, abs=1e-9)
    assert schedule.factor(55, 100) == pytest.approx(0.5)


@given(st.floats(0, 1), st.integers(1, 500), st.integers(0, 600))
def test_a_factor_is_never_outside_its_range(share: float, total: int, step: int) -> None:
    assert 0 <= WarmupCosine(share).factor(step, total) <= 1


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_its_range_is_named(share: float) -> None:
    with pytest.raises(ConfigError, match=r"model.schedule.warmup_share .*: must be in \[0, 1\]"):
        WarmupCosine(share)


def rates(made: dict[str, Any], optimizer: torch.optim.Optimizer, count: int) -> list[float]:
    seen = []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made["scheduler"].step()
    return seen


def test_the_usual_schedule_is_a_tenth_of_warm_up_then_a_cosine(model: nn.Module) -> None:
    optimizer = make_optimizer(model)
    made = make_schedule(None, optimizer, 20)
    assert made["interval"] == "step"
    peak = ADAMW["lr"]
    expected = [peak / 3, peak * 2 / 3]
    expected += [peak * 0.5 * (1 + math.cos(math.pi * i / 18)) for i in range(18)]
    assert rates(made, optimizer, 20) == pytest.approx(expected)


class Halves(Schedule):
    """Full speed for the first half of a run, half of it for the second."""

    def factor(self, step: int, total_steps: int) -> float:
        return 1.0 if step < total_steps / 2 else 0.5


def test_a_schedule_of_ones_own_knows_the_length_of_the_run(model: nn.Module) -> None:
    optimizer = make_optimizer(model, partial(torch.optim.SGD, lr=0.4))
    made = make_schedule(Halves(), optimizer, 6)
    assert rates(made, optimizer, 6) == pytest.approx([0.4] * 3 + [0.2] * 3)


def test_schedules_of_torch_move_every_epoch(model: nn.Module) -> None:
    optimizer = make_optimizer(model, partial(torch.optim.SGD, lr=1.0))
    chosen = partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1)
    made = make_schedule(chosen, optimizer, math.inf)
    assert made["interval"] == "epoch"
    assert rates(made, optimizer, 4) == pytest.approx([1, 1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("kind", "monitor"),
    [
        (torch.optim.lr_scheduler.ReduceLROnPlateau, "train/loss_epoch"),
        (partial(ReduceLROnPlateau, monitor="val/mAP"), "val/mAP"),
    ],
)
def test_a_schedule_that_watches_a_score_watches_the_one_chosen(
    model: nn.Module, kind: Any, monitor: str
) -> None:
    assert make_schedule(kind, make_optimizer(model), 10)["monitor"] == monitor


def test_a_run_without_an_end_is_refused_where_the_schedule_needs_one(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="model.schedule: needs a run that ends; set trainer.max"):
        make_schedule(None, make_optimizer(model), math.inf)
