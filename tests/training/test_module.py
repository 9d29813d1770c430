"""The module: mixed batches are the weighted sum of their pairs, and nothing else moves."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch

from mmembed.data.batch import Batch
from mmembed.errors import ConfigError
from mmembed.space.space import Space
from mmembed.training.losses import InfoNCE, SupervisedContrastive
from mmembed.training.module import ContrastiveModule
from mmembed.training.optim import adamw, warmup_cosine_factor
from tests.conftest import tiny_encoders


@pytest.fixture
def space() -> Space:
    torch.manual_seed(0)
    return Space(tiny_encoders(), dim=8).eval()


@pytest.fixture
def mixed() -> Batch:
    """Six samples: some lack a modality, one has audio alone."""
    torch.manual_seed(1)
    rows = {"image": [0, 1, 2, 4], "audio": [0, 2, 3, 4], "video": [1, 2, 5]}
    made = {
        "image": torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8),
        "audio": torch.rand(4, 4000) - 0.5,
        "video": torch.randint(0, 256, (3, 4, 3, 28, 28), dtype=torch.uint8),
    }
    mask = {
        "image": None,
        "audio": torch.ones(4, 4000, dtype=torch.bool),
        "video": torch.ones(3, 4, dtype=torch.bool),
    }
    return Batch(
        made,
        mask,
        {m: torch.tensor(r) for m, r in rows.items()},
        torch.tensor([0, 1, 0, 2, 1, -1]),
        torch.arange(6),
    )


def gradients(module: ContrastiveModule, batch: Batch) -> list[torch.Tensor]:
    module.zero_grad()
    module.batch_loss(batch)[0].backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in module.parameters()]


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive()])
def test_gradient_of_a_mixed_batch_is_the_weighted_sum_over_its_pairs(
    space: Space, mixed: Batch, loss: torch.nn.Module
) -> None:
    weights = {"image-audio": 1.0, "image-video": 0.5, "audio-video": 0.25}
    space = copy.deepcopy(space).double()  # in float32 the order of summing is seen
    together = gradients(ContrastiveModule(space, loss, weights), mixed)
    parts = [
        [weight * g for g in gradients(ContrastiveModule(space, loss, {pair: 1.0}), mixed)]
        for pair, weight in weights.items()
    ]
    whole = torch.cat([g.flatten() for g in together]).double()
    pieces = [torch.cat([g.flatten() for g in part]).double() for part in parts]
    assert (whole - sum(pieces)).norm() <= 1e-6 * whole.norm()


def test_pair_with_nobody_in_the_batch_is_left_out(space: Space, mixed: Batch) -> None:
    del mixed.values["video"], mixed.mask["video"], mixed.rows["video"]
    total, losses = ContrastiveModule(space).batch_loss(mixed)
    assert set(losses) == {"image-audio"}
    assert torch.equal(total, losses["image-audio"])
    mixed.values.clear()
    assert ContrastiveModule(space).batch_loss(mixed)[0].item() == 0


def test_modality_with_itself_contrasts_within_it(space: Space, mixed: Batch) -> None:
    module = ContrastiveModule(space, SupervisedContrastive(), {"image-image": 1.0})
    total, losses = module.batch_loss(mixed)
    assert set(losses) == {"image-image"}
    assert total.item() > 0


def test_temperature_is_learned_and_clamped(space: Space, mixed: Batch) -> None:
    module = ContrastiveModule(space, temperature=0.07)
    assert module.logit_scale.item() == pytest.approx(-math.log(0.07))
    gradients(module, mixed)
    assert module.logit_scale.grad is not None
    assert module.logit_scale.grad != 0
    before = module.batch_loss(mixed)[0].item()
    with torch.no_grad():
        module.logit_scale.fill_(math.log(100.0))
    at_limit = module.batch_loss(mixed)[0].item()
    with torch.no_grad():
        module.logit_scale.fill_(math.log(5000.0))
    assert module.batch_loss(mixed)[0].item() == pytest.approx(at_limit)
    assert at_limit != pytest.approx(before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": {"image-text": 1.0}}, "write two of image, audio, video with a hyphen"),
        ({"pairs": {"image-audio": 0.0}}, "at least one pair needs a weight above 0"),
        ({"temperature": 0.001}, "needs 0 < least_temperature <= temperature"),
    ],
)
def test_misuse_is_named(space: Space, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ContrastiveModule(space, **options)


def test_norms_biases_and_temperature_do_not_decay(space: Space) -> None:
    module = ContrastiveModule(space)
    decayed, spared = adamw(module, 1e-3, 0.1).param_groups
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert any(p is module.logit_scale for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(module.parameters()))


def test_schedule_warms_up_and_falls_to_zero() -> None:
    factors = [warmup_cosine_factor(step, 10, 100) for step in range(101)]
    assert factors[0] < 0.1
    assert max(factors) == factors[10] == 1.0
    assert all(a >= b for a, b in pairwise(factors[10:]))
    assert factors[100] == pytest.approx(0, abs=1e-9)
    assert warmup_cosine_factor(55, 10, 100) == pytest.approx(0.5)


def test_scores_are_exact_under_autocast(space: Space, mixed: Batch) -> None:
    module = ContrastiveModule(space)
    vectors = {m: v.detach() for m, v in module.embed(mixed).items()}
    module.requires_grad_(False)
    exact = module.pair_losses(vectors, mixed)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_precision = module.pair_losses(vectors, mixed)
    assert {n: float(v) for n, v in exact.items()} == {
        n: float(v) for n, v in mixed_precision.items()
    }


def test_prediction_says_which_sample_a_vector_is_of(space: Space, mixed: Batch) -> None:
    mixed.index = torch.arange(10, 10 + len(mixed))
    module = ContrastiveModule(space)
    for modality, (index, vectors) in module.predict_step(mixed, 0).items():
        assert index.tolist() == (10 + mixed.rows[modality]).tolist()
        assert len(vectors) == len(index)
