"""Every encoder keeps the same promises; a new one is found by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmembed.data.batch import collate
from mmembed.encoders.assets import assets_of
from mmembed.encoders.description import build, describe
from tests.encoders.contract import Example, concrete_encoders, examples, features, unit

EVERY = examples()


@pytest.fixture(params=EVERY.values(), ids=EVERY)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


def test_every_encoder_of_the_package_is_held_to_the_contract() -> None:
    assert {type(each.encoder()) for each in EVERY.values()} == concrete_encoders()


def test_features_have_the_declared_width(example: Example, rng: np.random.Generator) -> None:
    encoder = example.encoder()
    made = features(encoder, example.items(encoder, rng, [1, 60, 3]))
    assert made.shape == (3, encoder.width)
    assert made.dtype == torch.float32
    assert torch.isfinite(made).all()


def test_vector_does_not_depend_on_its_batch(example: Example, rng: np.random.Generator) -> None:
    encoder = example.encoder()
    items = example.items(encoder, rng, rng.integers(0, 90, 32).tolist())
    together = unit(features(encoder, items))
    alone = torch.cat([features(encoder, [item]) for item in items])
    order = rng.permutation(32)
    shuffled = features(encoder, [items[i] for i in order])[np.argsort(order)]
    for other in (alone, shuffled):
        assert (together - unit(other)).abs().max() <= 1e-6
    assert together.std(0).mean() > 1e-3, "the encoder must tell items apart"


def test_a_mask_that_hides_nothing_is_as_none(example: Example, rng: np.random.Generator) -> None:
    encoder = example.encoder()
    item = example.items(encoder, rng, [83])[0]
    values = torch.from_numpy(item)[None]
    shown = torch.ones(1, len(item), dtype=torch.bool)
    with torch.inference_mode():
        assert torch.equal(encoder(values), encoder(values, shown))


def test_padding_hides_nothing_of_an_item(example: Example, rng: np.random.Generator) -> None:
    """An item and the same item without its end differ, however they are padded."""
    encoder = example.encoder()
    item = example.items(encoder, rng, [83])[0]
    length = encoder.preprocess.bucket(item)
    if length is None:
        pytest.skip("nothing of a picture is padded")
    half = item[: len(item) // 2]
    with torch.inference_mode():
        whole, part = (unit(encoder(*collate([each], length))) for each in (item, half))
    assert (whole - part).abs().max() > 1e-4


def test_gradient_reaches_every_weight(example: Example, rng: np.random.Generator) -> None:
    encoder = example.encoder().train()
    items = example.items(encoder, rng, [40, 41, 42, 43])
    length = max(encoder.preprocess.bucket(item) or 0 for item in items) or None
    encoder(*collate(items, length)).square().sum().backward()
    idle = [name for name, weight in encoder.named_parameters() if weight.grad is None]
    assert idle == []
    broken = [n for n, weight in encoder.named_parameters() if not weight.grad.isfinite().all()]
    assert broken == []


def test_description_builds_the_same_encoder(example: Example, rng: np.random.Generator) -> None:
    encoder = example.encoder()
    held = assets_of(encoder)
    again = build(describe(encoder), assets=lambda name, digest: held[digest])
    again.load_state_dict(encoder.state_dict())
    items = example.items(encoder, rng, [5, 50])
    assert torch.equal(features(encoder, items), features(again.eval(), items))
    assert describe(again) == describe(encoder)
    assert again.preprocess == encoder.preprocess


def test_evaluation_has_no_chance_in_it(example: Example, rng: np.random.Generator) -> None:
    encoder = example.encoder()
    items = example.items(encoder, rng, [7, 70])
    first = features(encoder, items)
    torch.manual_seed(99)
    assert torch.equal(first, features(encoder, items))


def test_no_weight_of_the_encoder_moves_in_evaluation(
    example: Example, rng: np.random.Generator
) -> None:
    encoder = example.encoder()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    features(encoder, example.items(encoder, rng, [1, 20]))
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())
