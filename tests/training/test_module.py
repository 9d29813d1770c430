"""The module: mixed batches are the weighted sum of their pairs, and nothing else moves."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from mmembed.data.batch import Batch
from mmembed.errors import ConfigError
from mmembed.space.space import Space
from mmembed.training.losses import InfoNCE, NormalizedSoftmax, SigLIP, SupervisedContrastive
from mmembed.training.module import ContrastiveModule
from mmembed.training.optim import make_optimizer
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


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive(), SigLIP()])
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
        ({"pairs": {"image-label": 1.0}}, "model.pairs.image-label: choose its loss in model.cl"),
        (
            {"pairs": {"image-audio": 1.0}, "class_loss": NormalizedSoftmax(3, 8)},
            "model.class_loss: no pair weighs it; add one such as image-label: 1.0 to model.pairs",
        ),
        ({"temperature": 0.001}, "needs 0 < least_temperature <= temperature"),
    ],
)
def test_misuse_is_named(space: Space, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ContrastiveModule(space, **options)


@pytest.mark.parametrize("name", ["label", "group", "split", "id"])
def test_a_field_named_as_a_column_of_samples_is_refused(name: str) -> None:
    space = Space({name: tiny_encoders()["image"]}, dim=4)
    message = f"model.space.encoders.{name}: a field can't be trained by this name"
    with pytest.raises(ConfigError, match=message):
        ContrastiveModule(space)


def test_norms_biases_and_temperature_do_not_decay(space: Space) -> None:
    module = ContrastiveModule(space, SigLIP())
    decayed, spared = make_optimizer(module).param_groups
    assert decayed["weight_decay"] == 0.05
    assert spared["weight_decay"] == 0.0
    assert all(p.ndim >= 2 for p in decayed["params"])
    for scalar in (module.logit_scale, module.loss.bias):
        assert any(p is scalar for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(module.parameters()))


def test_a_class_loss_is_one_of_the_weighted_terms(space: Space, mixed: Batch) -> None:
    classes = NormalizedSoftmax(3, 8)
    pairs = {"image-audio": 1.0, "image-label": 0.5}
    module = ContrastiveModule(space, pairs=pairs, class_loss=classes)
    total, losses = module.batch_loss(mixed)
    assert set(losses) == {"image-audio", "image-label"}
    assert torch.equal(total, losses["image-audio"] + 0.5 * losses["image-label"])
    image = module.embed(mixed)["image"]
    assert torch.equal(losses["image-label"], classes(image, mixed.label[mixed.rows["image"]]))
    gradients(module, mixed)
    assert classes.prototypes.grad is not None
    assert classes.prototypes.grad.abs().max() > 0
    assert any(p is classes.prototypes for p in make_optimizer(module).param_groups[0]["params"])


def test_without_weights_every_modality_has_the_class_loss(space: Space, mixed: Batch) -> None:
    module = ContrastiveModule(space, class_loss=NormalizedSoftmax(3, 8))
    losses = module.batch_loss(mixed)[1]
    assert {name for name in losses if name.endswith("-label")} == {
        "image-label",
        "audio-label",
        "video-label",
    }
    assert len(losses) == 6


def test_a_class_loss_alone_trains_a_space_of_one_modality(mixed: Batch) -> None:
    space = Space({"image": tiny_encoders()["image"]}, dim=8)
    for part in (mixed.values, mixed.mask, mixed.rows):
        del part["audio"], part["video"]
    module = ContrastiveModule(space, class_loss=NormalizedSoftmax(3, 8))
    total, losses = module.batch_loss(mixed)
    assert set(losses) == {"image-label"}
    assert total.item() > 0


def test_a_loss_of_its_own_parameters_is_trained_with_the_space(space: Space, mixed: Batch) -> None:
    module = ContrastiveModule(space, SigLIP())
    assert "loss.bias" in module.state_dict()
    gradients(module, mixed)
    assert module.loss.bias.grad is not None
    assert module.loss.bias.grad != 0


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
