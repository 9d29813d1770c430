"""A model is no larger than its file allows, and that is known before its memory is taken."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmembed.encoders.size_limit import BESIDE_BYTES, STEPS, sketch
from mmembed.errors import SpaceError

LARGER = "describes a larger model than model.safetensors holds"
MIB = 1 << 20


def test_a_sketch_has_shapes_and_no_memory() -> None:
    model = sketch(lambda: nn.Linear(1 << 12, 1 << 12), 2, 65 * MIB)
    assert model.weight.shape == (1 << 12, 1 << 12)
    assert all(weight.is_meta for weight in model.parameters())


@pytest.mark.parametrize("width", [1 << 15, 1 << 20])
def test_one_large_tensor_is_refused_before_it_is_made(width: int) -> None:
    with pytest.raises(SpaceError, match=LARGER):
        sketch(lambda: nn.Linear(width, width), 2, 1000)


def test_many_small_tensors_are_refused_together() -> None:
    def make() -> nn.Module:
        return nn.ModuleList(nn.Linear(2048, 4096) for _ in range(10))  # 32 MiB each

    sketch(make, 20, 321 * MIB)
    sketch(make, 20, 321 * MIB - BESIDE_BYTES)
    with pytest.raises(SpaceError, match=LARGER):
        sketch(make, 20, 300 * MIB - BESIDE_BYTES)


def test_tables_beside_the_weights_have_room() -> None:
    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.zeros(BESIDE_BYTES // 4), persistent=False)

    assert sketch(Tables, 0, 0).table.is_meta


def test_a_model_without_end_is_refused() -> None:
    def endless() -> nn.Module:
        while True:
            torch.zeros(1)

    with pytest.raises(SpaceError, match=LARGER):
        sketch(endless, 0, 0)


def test_steps_grow_with_the_tensors_of_the_file() -> None:
    def long() -> nn.Module:
        for _ in range(STEPS + 500):
            torch.zeros(1)
        return nn.Identity()

    with pytest.raises(SpaceError, match=LARGER):
        sketch(long, 0, 0)
    assert isinstance(sketch(long, 10, 0), nn.Identity)
