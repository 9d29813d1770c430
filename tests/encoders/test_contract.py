"""Every encoder keeps the same promises; a new one is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mmembed.encoders
from mmembed.data.batch import collate
from mmembed.encoders.base import Encoder
from mmembed.encoders.description import build, describe
from tests.conftest import tiny_encoders


def concrete_encoders() -> set[type[Encoder]]:
    for module in pkgutil.iter_modules(mmembed.encoders.__path__):
        importlib.import_module(f"mmembed.encoders.{module.name}")
    return {c for c in Encoder.__subclasses__() if c.__module__.startswith("mmembed.")}


CASES = [
    (f"{modality}-{pooling}", modality, pooling)
    for pooling in ("mean", "attention", "gru")
    for modality in ("image", "audio", "video")
    if modality != "image" or pooling == "mean"
]


@pytest.fixture(params=CASES, ids=[c[0] for c in CASES])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    torch.manual_seed(3)
    _, modality, pooling = request.param
    return tiny_encoders(pooling)[modality].eval()


def items_of(encoder: Encoder, rng: np.random.Generator, lengths: list[int]) -> list[np.ndarray]:
    modality = encoder.preprocess.modality
    if modality == "image":
        return [rng.integers(0, 256, (3, 28, 28), np.uint8) for _ in lengths]
    if modality == "audio":
        return [rng.uniform(-0.5, 0.5, 1 + 97 * n).astype(np.float32) for n in lengths]
    return [rng.integers(0, 256, (1 + n % 4, 3, 28, 28), np.uint8) for n in lengths]


def features(encoder: Encoder, items: list[np.ndarray]) -> torch.Tensor:
    """Each item in a batch of its own bucket, as embedding does it."""
    out: list[torch.Tensor | None] = [None] * len(items)
    buckets: dict[int | None, list[int]] = {}
    for i, item in enumerate(items):
        still = encoder.preprocess.modality == "image"
        length = None if still else encoder.preprocess.padded_length(len(item))
        buckets.setdefault(length, []).append(i)
    with torch.inference_mode():
        for length, members in buckets.items():
            batch = encoder(*collate([items[i] for i in members], length))
            for i, row in zip(members, batch, strict=True):
                out[i] = row
    return torch.stack([row for row in out if row is not None])


def test_every_encoder_of_the_package_is_held_to_the_contract() -> None:
    tested = {type(e) for e in tiny_encoders().values()}
    assert concrete_encoders() == tested


def test_features_have_the_declared_width(encoder: Encoder, rng: np.random.Generator) -> None:
    assert features(encoder, items_of(encoder, rng, [1, 60, 3])).shape == (3, encoder.width)


def test_vector_does_not_depend_on_its_batch(encoder: Encoder, rng: np.random.Generator) -> None:
    items = items_of(encoder, rng, list(rng.integers(0, 90, 32)))
    together = torch.nn.functional.normalize(features(encoder, items), dim=-1)
    alone = torch.cat([features(encoder, [item]) for item in items])
    order = rng.permutation(32)
    shuffled = features(encoder, [items[i] for i in order])[np.argsort(order)]
    for other in (alone, shuffled):
        assert (together - torch.nn.functional.normalize(other, dim=-1)).abs().max() <= 1e-6
    assert together.std(0).mean() > 1e-3, "the encoder must tell items apart"


@pytest.mark.parametrize("pooling", ["mean", "attention", "gru"])
def test_frames_under_the_mask_change_nothing(pooling: str, rng: np.random.Generator) -> None:
    encoder = tiny_encoders(pooling)["video"].eval()
    values, mask = collate([items_of(encoder, rng, [1])[0]], 4)
    assert not mask.all()
    dirty = values.clone()
    dirty[~mask] = 255
    with torch.inference_mode():
        assert torch.equal(encoder(values, mask), encoder(dirty, mask))


def test_gradient_reaches_every_weight(encoder: Encoder, rng: np.random.Generator) -> None:
    encoder.train()
    items = items_of(encoder, rng, [40, 41, 42, 43])
    still = encoder.preprocess.modality == "image"
    length = None if still else encoder.preprocess.padded_length(max(map(len, items)))
    encoder(*collate(items, length)).square().sum().backward()
    idle = [n for n, p in encoder.named_parameters() if p.grad is None]
    assert idle == []


def test_description_builds_the_same_encoder(encoder: Encoder, rng: np.random.Generator) -> None:
    again = build(describe(encoder))
    again.load_state_dict(encoder.state_dict())
    items = items_of(encoder, rng, [5, 50])
    assert torch.equal(features(encoder, items), features(again.eval(), items))
    assert describe(again) == describe(encoder)
    assert again.preprocess == encoder.preprocess


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40_000), st.integers(0, 20_000))
def test_padded_length_depends_on_the_item_alone_and_covers_it(length: int, more: int) -> None:
    preprocess = tiny_encoders()["audio"].preprocess
    padded = preprocess.padded_length(length)
    assert padded >= length
    assert preprocess.padded_length(padded) == padded
    assert preprocess.padded_length(length + more) >= padded
