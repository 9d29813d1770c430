"""NormalizedSoftmax: the cross entropy of cosines, over prototypes that are trained."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mmembed.errors import ConfigError
from mmembed.training.losses import NormalizedSoftmax


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.lists(st.integers(-1, 3), min_size=1, max_size=8))
def test_it_is_the_softmax_of_the_paper_over_known_labels(seed: int, labels: list[int]) -> None:
    torch.manual_seed(seed)
    loss, vectors = NormalizedSoftmax(4, 5, temperature=0.2), unit(len(labels), 5)
    with torch.no_grad():
        loss.prototypes.mul_(torch.rand(4, 1) * 9 + 0.1)  # their length does not count
    terms, rows = [], loss.prototypes.detach()
    for vector, label in zip(vectors, labels, strict=True):
        if label >= 0:
            cosines = [float(functional.cosine_similarity(vector, p, 0)) for p in rows]
            total = sum(math.exp(c / 0.2) for c in cosines)
            terms.append(math.log(total) - cosines[label] / 0.2)
    expected = sum(terms) / len(terms) if terms else 0.0
    assert loss(vectors, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-4)


def test_prototypes_start_as_unit_vectors_and_one_weight_is_trained() -> None:
    loss = NormalizedSoftmax(7, 16)
    assert [(n, tuple(p.shape)) for n, p in loss.named_parameters()] == [("prototypes", (7, 16))]
    torch.testing.assert_close(loss.prototypes.norm(dim=1), torch.ones(7))


def test_training_brings_prototypes_to_their_classes() -> None:
    torch.manual_seed(0)
    loss, labels = NormalizedSoftmax(3, 8), torch.arange(3).repeat(20)
    centres = unit(3, 8)
    vectors = functional.normalize(centres[labels] + 0.1 * torch.randn(60, 8), dim=1)
    descent = torch.optim.Adam(loss.parameters(), 0.05)
    for _ in range(100):
        descent.zero_grad()
        loss(vectors, labels).backward()
        descent.step()
    cosines = functional.normalize(loss.prototypes, dim=1) @ centres.T
    assert cosines.argmax(1).tolist() == [0, 1, 2]
    assert loss(vectors, labels) < 0.01


def test_no_known_label_costs_nothing_and_keeps_the_graph() -> None:
    loss, vectors = NormalizedSoftmax(3, 4), unit(2, 4).requires_grad_()
    value = loss(vectors, torch.tensor([-1, -1]))
    value.backward()
    assert value.item() == 0
    assert loss.prototypes.grad is not None
    assert (loss.prototypes.grad == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1, "dim": 4}, "model.class_loss.classes 1: needs at least 2 to tell apart"),
        (
            {"classes": 3, "dim": 4, "temperature": 0.0},
            "model.class_loss.temperature 0.0: must be above 0",
        ),
    ],
)
def test_values_that_can_not_be_right_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NormalizedSoftmax(**options)


@pytest.mark.parametrize(
    ("dim", "labels", "message"),
    [
        (5, [0, 1], "model.class_loss.dim 4: the space has 5 dimensions"),
        (4, [0, 3], "model.class_loss.classes 3: the manifest has more labels than that"),
    ],
)
def test_what_fits_neither_space_nor_manifest_is_named(
    dim: int, labels: list[int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        NormalizedSoftmax(3, 4)(unit(2, dim), torch.tensor(labels))
