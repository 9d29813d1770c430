"""Losses: equal to slow references and analytic values, symmetric, and blind to what is masked."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.training.losses import InfoNCE, Relation, SupervisedContrastive


def relation(
    rows: tuple[list[int], list[int]], label: list[int], group: list[int] | None = None, same=False
) -> Relation:
    first, second = (torch.tensor(r) for r in rows)
    codes = torch.tensor(group if group is not None else [-1] * len(label))
    return Relation.of((first, second), torch.tensor(label), codes, same)


def slow(scores: torch.Tensor, positive: torch.Tensor, kept: torch.Tensor) -> float:
    """The definition, one row at a time."""
    means = []
    for table, good, in_sum in ((scores, positive, kept), (scores.T, positive.T, kept.T)):
        terms = []
        for row, yes, these in zip(table, good, in_sum, strict=True):
            if yes.any():
                total = sum(math.exp(s) for s, k in zip(row.tolist(), these, strict=True) if k)
                logs = [s - math.log(total) for s, y in zip(row.tolist(), yes, strict=True) if y]
                terms.append(-sum(logs) / len(logs))
        means.append(sum(terms) / len(terms) if terms else 0.0)
    return sum(means) / 2


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_losses_equal_their_definitions(seed: int) -> None:
    torch.manual_seed(seed)
    samples, n, m = 6, 4, 5
    rows = torch.randperm(samples)[:n], torch.randperm(samples)[:m]
    label, group = torch.randint(-1, 3, (samples,)), torch.randint(-1, 4, (samples,))
    scores = torch.randn(n, m, dtype=torch.double) * 3
    found = Relation.of(rows, label, group)
    alike = found.label | found.group
    same = found.sample
    assert InfoNCE()(scores, found).item() == pytest.approx(slow(scores, same, same | ~alike))
    assert InfoNCE(mask_labels=False)(scores, found).item() == pytest.approx(
        slow(scores, same, same | ~found.group)
    )
    everything = torch.ones_like(same)
    assert SupervisedContrastive()(scores, found).item() == pytest.approx(
        slow(scores, same | alike, everything)
    )


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive()])
def test_constant_vectors_cost_log_batch(loss: torch.nn.Module) -> None:
    rows = list(range(8))
    found = relation((rows, rows), [-1] * 8)
    assert loss(torch.full((8, 8), 3.0), found).item() == pytest.approx(math.log(8), abs=1e-6)


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive()])
def test_both_directions_count_alike(loss: torch.nn.Module) -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 6)
    label = [0, 1, 0, 2, 1, 2]
    forward = loss(scores, relation(([0, 1, 2, 3], [0, 1, 2, 3, 4, 5]), label))
    backward = loss(scores.T, relation(([0, 1, 2, 3, 4, 5], [0, 1, 2, 3]), label))
    assert forward.item() == pytest.approx(backward.item(), abs=1e-6)


def test_false_negatives_have_no_gradient() -> None:
    scores = torch.randn(3, 3, requires_grad=True)
    rows = [0, 1, 2]
    InfoNCE()(scores, relation((rows, rows), [5, 5, 6])).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0
    assert scores.grad[1, 0] == 0
    assert scores.grad[0, 2] != 0


def test_unknown_labels_are_never_alike() -> None:
    scores = torch.randn(3, 3)
    rows = [0, 1, 2]
    unknown = InfoNCE()(scores, relation((rows, rows), [-1, -1, -1]))
    different = InfoNCE()(scores, relation((rows, rows), [0, 1, 2]))
    assert torch.equal(unknown, different)


def test_an_item_is_never_its_own_positive() -> None:
    scores = torch.randn(4, 4, requires_grad=True)
    rows = [0, 1, 2, 3]
    SupervisedContrastive()(scores, relation((rows, rows), [0, 0, 1, 1], same=True)).backward()
    assert scores.grad is not None
    assert (scores.grad.diagonal() == 0).all()


def test_nobody_to_match_costs_nothing_and_keeps_the_graph() -> None:
    scores = torch.randn(2, 2, requires_grad=True)
    loss = InfoNCE()(scores, relation(([0, 1], [2, 3]), [-1] * 4))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert (scores.grad == 0).all()
