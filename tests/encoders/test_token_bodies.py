"""Bodies of sequences see the valid steps of their own item, in their order where they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmembed.encoders.token_bodies import BODIES, TokenBody, sines
from mmembed.errors import ConfigError

WIDTH, LENGTH = 8, 9
KINDS = st.sampled_from(sorted(BODIES))
LENGTHS = st.lists(st.integers(1, LENGTH), min_size=1, max_size=5)


def body(kind: str, dropout: float = 0.1) -> nn.Module:
    torch.manual_seed(0)
    return TokenBody(kind, WIDTH, layers=2, heads=2, dropout=dropout).build().eval()


def steps(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.randn(len(lengths), LENGTH, WIDTH, generator=torch.Generator().manual_seed(seed))
    return made, torch.arange(LENGTH) < torch.tensor(lengths).unsqueeze(1)


@settings(deadline=None, max_examples=40)
@given(KINDS, LENGTHS, st.integers(0, 99))
def test_steps_under_the_mask_change_nothing(kind: str, lengths: list[int], seed: int) -> None:
    made, mask = steps(lengths, seed)
    dirty = made.clone()
    dirty[~mask] = 1e4
    with torch.inference_mode():
        clean, other = (body(kind)(each, mask) for each in (made, dirty))
    assert clean.shape == made.shape
    assert torch.equal(clean[mask], other[mask])


@settings(deadline=None, max_examples=40)
@given(KINDS, LENGTHS, st.integers(0, 99))
def test_an_item_is_read_alone_as_among_others(kind: str, lengths: list[int], seed: int) -> None:
    made, mask = steps(lengths, seed)
    with torch.inference_mode():
        together = body(kind)(made, mask)
        for number, length in enumerate(lengths):
            alone = body(kind)(made[number, None, :length], mask[number, None, :length])
            assert torch.allclose(alone[0], together[number, :length], atol=1e-5)


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_order_of_the_steps_is_seen(kind: str) -> None:
    made, mask = steps([LENGTH])
    with torch.inference_mode():
        forth, back = (body(kind)(each, mask) for each in (made, made.flip(1)))
    assert (forth.mean(1) - back.mean(1)).abs().max() > 1e-4


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_a_step_knows_of_its_neighbours(kind: str) -> None:
    made, mask = steps([LENGTH])
    other = made.clone()
    other[0, 3, 0] += 1.0  # all of a step alike would be what a norm takes out
    with torch.inference_mode():
        change = (body(kind)(made, mask) - body(kind)(other, mask))[0].abs().amax(1)
    assert (change[[2, 4]] > 1e-5).all()


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_dropout_is_for_training_alone(kind: str) -> None:
    made, mask = steps([LENGTH, 4])
    module = body(kind, dropout=0.5)
    with torch.no_grad():
        assert torch.equal(module(made, mask), module(made, mask))
        module.train()
        assert not torch.equal(module(made, mask), module(made, mask))


@pytest.mark.parametrize("width", [1, 7, 8])
def test_positions_are_told_apart(width: int) -> None:
    made = sines(torch.zeros(1, 50, width))
    assert made.shape == (50, width)
    assert made.abs().max() <= 1
    apart = torch.cdist(made, made) + 9 * torch.eye(50)
    assert width == 1 or apart.min() > 1e-3
    assert torch.allclose(made[:, 0], torch.arange(50.0).sin(), atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "mamba"}, "kind mamba is none of transformer, gru, lstm, conv"),
        ({"width": 0}, "width 0 must be from 1 to 8,192"),
        ({"width": 1 << 14}, "width 16384 must be from 1"),
        ({"layers": 65}, "layers 65 must be from 1 to 64"),
        ({"layers": 0}, "layers 0 must be"),
        ({"heads": 0}, "heads 0 must be from 1 to 128"),
        ({"dropout": 1.0}, "dropout 1.0 must be from 0 to below 1"),
        ({"dropout": float("nan")}, "dropout nan must be"),
        ({"width": 10}, "width 10 can't be split over 4 heads; make it a multiple of 4"),
        ({"kind": "gru", "width": 7}, "width 7 can't be split over 2 directions"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"TokenBody: {says}"):
        TokenBody(**wrong)


def test_any_width_will_do_for_a_convolution() -> None:
    made = TokenBody("conv", 7, layers=1).build()
    assert made(torch.randn(2, 3, 7), torch.ones(2, 3, dtype=torch.bool)).shape == (2, 3, 7)
