"""Losses: equal to slow references and analytic values, symmetric, and blind to what is masked."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmembed.training.losses import InfoNCE, PairLoss, Relation, SigLIP, SupervisedContrastive

ONE = torch.tensor(1.0)


def relation(
    rows: tuple[list[int], list[int]], label: list[int], group: list[int] | None = None, same=False
) -> Relation:
    first, second = (torch.tensor(r) for r in rows)
    codes = torch.tensor(group if group is not None else [-1] * len(label))
    return Relation.of((first, second), torch.tensor(label), codes, same)


def cost(loss: PairLoss, scores: Tensor, related: Relation) -> Tensor:
    """The loss of vectors whose products are exactly ``scores``."""
    return loss(scores, torch.eye(scores.shape[1], dtype=scores.dtype), ONE, related)


def slow(scores: Tensor, positive: Tensor, kept: Tensor) -> float:
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


def as_before(scores: Tensor, positive: Tensor, kept: Tensor) -> Tensor:
    """The arithmetic of the softmax loss while losses were still given scores, step by step."""
    scores = scores.masked_fill(~kept, torch.finfo(scores.dtype).min)
    terms = []
    for axis in (1, 0):
        likely = scores - scores.logsumexp(axis, keepdim=True)
        count = positive.sum(axis)
        each = -(likely * positive).sum(axis) / count.clamp(min=1)
        has = count > 0
        terms.append((each * has).sum() / has.sum().clamp(min=1))
    return (terms[0] + terms[1]) / 2


def random_relation(n: int, m: int, same: bool = False) -> Relation:
    samples = max(n, m) + 2
    first = torch.randperm(samples)[:n]
    second = first if same else torch.randperm(samples)[:m]
    label, group = torch.randint(-1, 3, (samples,)), torch.randint(-1, 4, (samples,))
    return Relation.of((first, second), label, group, same)


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_vectors_cost_to_the_bit_what_their_scores_cost_before(seed: int, same: bool) -> None:
    torch.manual_seed(seed)
    a = torch.nn.functional.normalize(torch.randn(24, 16), dim=-1)
    b = a if same else torch.nn.functional.normalize(torch.randn(31, 16), dim=-1)
    scale = torch.tensor(-math.log(0.07)).exp()
    related = random_relation(len(a), len(b), same)
    scores = scale * a @ b.T
    alike = related.group | related.label
    sample = related.sample & ~related.itself
    kept = (sample | ~alike) & ~related.itself
    assert torch.equal(InfoNCE()(a, b, scale, related), as_before(scores, sample, kept))
    kept = (sample | ~related.group) & ~related.itself
    unmasked = InfoNCE(mask_labels=False)(a, b, scale, related)
    assert torch.equal(unmasked, as_before(scores, sample, kept))
    positive = (related.sample | alike) & ~related.itself
    supervised = SupervisedContrastive()(a, b, scale, related)
    assert torch.equal(supervised, as_before(scores, positive, ~related.itself))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_losses_equal_their_definitions(seed: int) -> None:
    torch.manual_seed(seed)
    related = random_relation(4, 5)
    scores = torch.randn(4, 5, dtype=torch.double) * 3
    alike = related.label | related.group
    same = related.sample
    assert cost(InfoNCE(), scores, related).item() == pytest.approx(
        slow(scores, same, same | ~alike)
    )
    assert cost(InfoNCE(mask_labels=False), scores, related).item() == pytest.approx(
        slow(scores, same, same | ~related.group)
    )
    everything = torch.ones_like(same)
    assert cost(SupervisedContrastive(), scores, related).item() == pytest.approx(
        slow(scores, same | alike, everything)
    )


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive()])
def test_constant_vectors_cost_log_batch(loss: PairLoss) -> None:
    rows = list(range(8))
    constant = torch.ones(8, 1)
    related = relation((rows, rows), [-1] * 8)
    value = loss(constant, constant, torch.tensor(3.0), related).item()
    assert value == pytest.approx(math.log(8), abs=1e-6)


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive(), SigLIP()])
def test_both_directions_count_alike(loss: PairLoss) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(4, 3), torch.randn(6, 3)
    label = [0, 1, 0, 2, 1, 2]
    forward = loss(a, b, ONE, relation(([0, 1, 2, 3], [0, 1, 2, 3, 4, 5]), label))
    backward = loss(b, a, ONE, relation(([0, 1, 2, 3, 4, 5], [0, 1, 2, 3]), label))
    assert forward.item() == pytest.approx(backward.item(), abs=1e-6)


@pytest.mark.parametrize("loss", [InfoNCE(), SigLIP()])
def test_false_negatives_have_no_gradient(loss: PairLoss) -> None:
    scores = torch.randn(3, 3, requires_grad=True)
    rows = [0, 1, 2]
    cost(loss, scores, relation((rows, rows), [5, 5, 6])).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0
    assert scores.grad[1, 0] == 0
    assert scores.grad[0, 2] != 0


@pytest.mark.parametrize("loss", [InfoNCE(mask_labels=False), SigLIP(mask_labels=False)])
def test_members_of_a_group_are_no_negatives_whatever_the_labels(loss: PairLoss) -> None:
    scores = torch.randn(3, 3, requires_grad=True)
    rows = [0, 1, 2]
    cost(loss, scores, relation((rows, rows), [5, 6, 5], [3, 3, -1])).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0
    assert scores.grad[0, 2] != 0


@pytest.mark.parametrize("loss", [InfoNCE(), SigLIP()])
def test_unknown_labels_are_never_alike(loss: PairLoss) -> None:
    scores = torch.randn(3, 3)
    rows = [0, 1, 2]
    unknown = cost(loss, scores, relation((rows, rows), [-1, -1, -1]))
    different = cost(loss, scores, relation((rows, rows), [0, 1, 2]))
    assert torch.equal(unknown, different)


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive(), SigLIP()])
def test_an_item_is_never_compared_with_itself(loss: PairLoss) -> None:
    scores = torch.randn(4, 4, requires_grad=True)
    rows = [0, 1, 2, 3]
    cost(loss, scores, relation((rows, rows), [0, 0, 1, 1], same=True)).backward()
    assert scores.grad is not None
    assert (scores.grad.diagonal() == 0).all()


def test_nobody_to_match_costs_nothing_and_keeps_the_graph() -> None:
    scores = torch.randn(2, 2, requires_grad=True)
    loss = cost(InfoNCE(), scores, relation(([0, 1], [2, 3]), [-1] * 4))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert (scores.grad == 0).all()


@given(st.lists(st.integers(-1, 3), min_size=2, max_size=8), st.booleans(), st.booleans())
def test_matches_are_those_of_one_sample_and_negatives_are_unlike(
    label: list[int], same: bool, mask: bool
) -> None:
    rows = list(range(len(label)))
    related = relation((rows, rows), label, same=same)
    positive, compared = related.matches(mask)
    for i in rows:
        for j in rows:
            assert bool(positive[i, j]) == (i == j and not same)
            alike = mask and label[i] == label[j] >= 0
            assert bool(compared[i, j]) == (not same if i == j else not alike)


class Graded(PairLoss):
    """The mean square distance of cosines from grades: a loss of one file, as anybody adds it."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = torch.nn.Parameter(torch.zeros(()))

    def forward(self, a: Tensor, b: Tensor, scale: Tensor, relation: Relation) -> Tensor:
        grades = relation.sample.float() if relation.grades is None else relation.grades
        return (a @ b.T + self.offset - grades).square().mean()


def test_a_loss_may_use_grades_and_parameters_of_its_own() -> None:
    rows = torch.arange(3)
    codes = torch.full((3,), -1)
    plain = Relation.of((rows, rows), codes, codes)
    assert plain.grades is None
    graded = Relation(plain.sample, plain.group, plain.label, plain.itself, torch.eye(3) / 2)
    loss = Graded()
    assert loss(torch.eye(3), torch.eye(3), ONE, plain).item() == 0
    value = loss(torch.eye(3), torch.eye(3), ONE, graded)
    assert value.item() == pytest.approx(3 * 0.25 / 9)
    value.backward()
    assert loss.offset.grad is not None
    assert loss.offset.grad != 0
