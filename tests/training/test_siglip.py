"""SigLIP: the sum over pairs that the paper writes, with a bias that is learned."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.training.losses import Relation, SigLIP


def all_different(count: int) -> Relation:
    rows, unknown = torch.arange(count), torch.full((count,), -1)
    return Relation.of((rows, rows), unknown, unknown)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(-10, 10), st.floats(0.1, 30))
def test_it_is_the_sum_of_the_paper(seed: int, count: int, bias: float, scale: float) -> None:
    torch.manual_seed(seed)
    a, b = (
        torch.nn.functional.normalize(torch.randn(count, 4, dtype=torch.double), dim=1)
        for _ in range(2)
    )
    total = 0.0
    for i in range(count):
        for j in range(count):
            z = 1 if i == j else -1
            logit = scale * float(a[i] @ b[j]) + bias
            total += math.log1p(math.exp(-z * logit))
    value = SigLIP(bias=bias)(a, b, torch.tensor(scale, dtype=torch.double), all_different(count))
    assert value.item() == pytest.approx(total / count, rel=1e-5)


def test_it_starts_where_the_paper_does() -> None:
    loss = SigLIP()
    assert loss.bias.item() == -10
    assert [name for name, _ in loss.named_parameters()] == ["bias"]
    count = 64
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2, count, 256), dim=-1)
    start = loss(vectors[0], vectors[1], torch.tensor(10.0), all_different(count)).item()
    assert start == pytest.approx(10, abs=0.5)  # the positives alone cost: -log sigmoid(-10) each


def test_the_bias_learns_how_rare_positives_are() -> None:
    loss = SigLIP(bias=0.0)
    descent = torch.optim.SGD(loss.parameters(), 0.1)
    zero = torch.zeros(8, 4)
    for _ in range(400):
        descent.zero_grad()
        loss(zero, zero, torch.tensor(1.0), all_different(8)).backward()
        descent.step()
    assert loss.bias.item() == pytest.approx(math.log(1 / 7), abs=0.02)


def test_matching_vectors_cost_less_than_others() -> None:
    loss, axes = SigLIP(bias=-5.0), torch.eye(4)
    scale = torch.tensor(10.0)
    right = loss(axes, axes, scale, all_different(4))
    wrong = loss(axes, axes.roll(1, 0), scale, all_different(4))
    assert right < 0.1 < 5 < wrong


def test_items_without_a_match_are_negatives_only() -> None:
    rows = torch.tensor([0, 1]), torch.tensor([2, 3])
    unknown = torch.full((4,), -1)
    related = Relation.of(rows, unknown, unknown)
    loss = SigLIP(bias=0.0)
    apart = loss(torch.eye(2), -torch.eye(2), torch.tensor(9.0), related)
    close = loss(torch.eye(2), torch.eye(2), torch.tensor(9.0), related)
    assert apart < close
