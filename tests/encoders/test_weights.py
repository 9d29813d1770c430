"""Weights in a file: written and read without loss, and held to the model that they are for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmembed.encoders.weights import (
    check_shapes,
    first_not_finite,
    load_weights,
    save_weights,
    shapes_of,
)
from mmembed.errors import SpaceError


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_what_is_written_is_read_again(model: nn.Module, tmp_path: Path) -> None:
    save_weights(model.state_dict(), tmp_path / "w")
    shapes = shapes_of(tmp_path / "w")
    assert shapes["0.weight"] == (2, 3)
    assert shapes["1.num_batches_tracked"] == ()
    check_shapes(model, shapes)
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    load_weights(other, tmp_path / "w")
    assert all(torch.equal(model.state_dict()[n], t) for n, t in other.state_dict().items())


@pytest.mark.parametrize(
    ("name", "tensor", "says"),
    [
        ("0.weight", torch.zeros(2, 4), r"0\.weight' is \(2, 4, 'float32'\) in the file"),
        ("0.weight", torch.zeros(2, 3).double(), r"0\.weight' is \(2, 3, 'float64'\) in the file"),
        ("2.weight", torch.zeros(1), "and nothing in the model that is described"),
        ("0.weight", None, "is nothing in the file"),
    ],
)
def test_weights_of_another_model_are_refused_by_name(
    model: nn.Module, tmp_path: Path, name: str, tensor: torch.Tensor | None, says: str
) -> None:
    weights = {**model.state_dict(), name: tensor}
    save_file({key: t for key, t in weights.items() if t is not None}, tmp_path / "w")
    before = model[0].weight.clone()
    with pytest.raises(SpaceError, match=f"does not fit model.safetensors: .*{says}"):
        load_weights(model, tmp_path / "w")
    assert torch.equal(model[0].weight, before), "nothing of them was loaded"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_first_tensor_that_is_not_finite_is_named(model: nn.Module, value: float) -> None:
    assert first_not_finite(model.state_dict()) is None
    model[1].running_var[1] = value
    assert first_not_finite(model.state_dict()) == "1.running_var"
    model[0].bias.data[0] = value
    assert first_not_finite(model.state_dict()) == "0.bias"


def test_a_folder_that_cannot_be_written_is_an_os_error(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="."):
        save_weights(model.state_dict(), tmp_path / "gone" / "w")
