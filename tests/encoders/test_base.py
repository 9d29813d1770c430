"""An encoder remembers the arguments that it was made with."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from mmembed.encoders import Encoder
from mmembed.preprocess.image import ImagePreprocess


class Plain(Encoder):
    def __init__(self, width: int = 3, *, scale: float = 1.0) -> None:
        super().__init__()
        self.width, self.preprocess = width, ImagePreprocess(size=2)
        self.map = torch.nn.Linear(12, width)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.map(values.flatten(1).float())


class Derived(Plain):
    def __init__(self, depth: int, **rest: Any) -> None:
        super().__init__(width=2 * depth)


@pytest.mark.parametrize(
    ("made", "remembered"),
    [
        (lambda: Plain(), {"width": 3, "scale": 1.0}),
        (lambda: Plain(5), {"width": 5, "scale": 1.0}),
        (lambda: Plain(width=5, scale=2.0), {"width": 5, "scale": 2.0}),
        (lambda: Derived(2), {"depth": 2, "rest": {}}),
    ],
)
def test_arguments_are_those_of_the_class_itself(made: Any, remembered: dict) -> None:
    assert made()._arguments == remembered


def test_a_copy_remembers_them_too() -> None:
    assert copy.deepcopy(Plain(4))._arguments == {"width": 4, "scale": 1.0}


def test_arguments_are_no_part_of_the_weights() -> None:
    assert set(Plain().state_dict()) == {"map.weight", "map.bias"}


class Asked(Plain):
    def __init__(self, preprocess: ImagePreprocess | None = None) -> None:
        super().__init__()
        self.preprocess = preprocess or ImagePreprocess(size=2)


def test_a_fitted_preprocess_is_taken_over_and_remembered() -> None:
    fitted = ImagePreprocess(size=2, resize="pad")
    made = Asked()
    made.adopt(fitted)
    assert made.preprocess is fitted
    assert made._arguments == {"preprocess": fitted}
    plain = Plain()
    plain.adopt(fitted)
    assert plain.preprocess is fitted
    assert plain._arguments == {"width": 3, "scale": 1.0}, "its class takes no preprocess"


def test_an_encoder_without_forward_is_none() -> None:
    class Half(Encoder):
        pass

    with pytest.raises(TypeError, match="forward"):
        Half()
