"""Pooling sees the valid steps of its own item, and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.encoders.pooling import POOLING, AttentionPooling, GRUPooling, masked_mean

WIDTH = 6
NAMES = st.sampled_from(sorted(POOLING))
LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def pool(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    made = POOLING[name](WIDTH).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight)
    return made


def steps(lengths: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(lengths), 7, WIDTH, generator=generator)
    return features, torch.arange(7) < torch.tensor(lengths).unsqueeze(1)


@settings(deadline=None, max_examples=40)
@given(NAMES, LENGTHS, st.integers(0, 99))
def test_steps_under_the_mask_change_nothing(name: str, lengths: list[int], seed: int) -> None:
    features, mask = steps(lengths, seed)
    dirty = features.clone()
    dirty[~mask] = 1e4
    with torch.inference_mode():
        assert torch.equal(pool(name)(features, mask), pool(name)(dirty, mask))


@settings(deadline=None, max_examples=40)
@given(NAMES, LENGTHS, st.integers(0, 99))
def test_an_item_is_pooled_alone_as_among_others(name: str, lengths: list[int], seed: int) -> None:
    features, mask = steps(lengths, seed)
    with torch.inference_mode():
        together = pool(name)(features, mask)
        assert together.shape == (len(lengths), WIDTH)
        for number, length in enumerate(lengths):
            alone = pool(name)(features[number, None, :length], mask[number, None, :length])
            assert torch.allclose(alone[0], together[number], atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["mean", "attention"]), st.permutations(range(5)))
def test_mean_and_attention_do_not_see_the_order(name: str, order: list[int]) -> None:
    features, mask = steps([5], 1)
    features, mask = features[:, :5], mask[:, :5]
    with torch.inference_mode():
        assert torch.allclose(
            pool(name)(features, mask), pool(name)(features[:, order], mask), atol=1e-5
        )


def test_gru_pooling_hears_the_order() -> None:
    torch.manual_seed(0)
    features, mask = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    made = GRUPooling(8).eval()
    assert not torch.allclose(made(features, mask), made(features.flip(1), mask), atol=1e-4)
    assert torch.allclose(masked_mean(features, mask), masked_mean(features.flip(1), mask))


def test_attention_starts_as_the_mean() -> None:
    features, mask = steps([4, 7], 2)
    assert torch.allclose(AttentionPooling(WIDTH)(features, mask), masked_mean(features, mask))


def test_attention_follows_its_query() -> None:
    made = AttentionPooling(WIDTH)
    with torch.no_grad():
        made.query[0] = 1000.0
    features = torch.zeros(1, 3, WIDTH)
    features[0, 1, 0], features[0, 0, 1], features[0, 2, 1] = 1.0, 1.0, 1.0
    assert torch.allclose(made(features, torch.ones(1, 3, dtype=torch.bool)), features[:, 1])


@pytest.mark.parametrize("name", ["mean", "gru"])
def test_an_item_without_a_valid_step_is_finite(name: str) -> None:
    features, mask = steps([3, 1], 3)
    mask[1] = False
    with torch.inference_mode():
        assert torch.isfinite(pool(name)(features, mask)).all()


def test_a_single_feature_is_pooled_too() -> None:
    for name in POOLING:
        made = POOLING[name](1)
        assert made(torch.randn(2, 3, 1), torch.ones(2, 3, dtype=torch.bool)).shape == (2, 1)
