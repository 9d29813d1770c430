"""timm models by name: what can't be made is named, with the way out."""

from __future__ import annotations

import pytest
import torch

from mmembed.encoders import ImageEncoder
from mmembed.encoders.backbone import output_width, timm_model
from mmembed.errors import ConfigError


def test_weights_lie_channels_last_and_are_saved_as_ever() -> None:
    model = timm_model("test_resnet", False, {}, channels=3)
    assert model.conv1[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)
    one = timm_model("test_resnet", False, {}, channels=3).state_dict()
    torch.manual_seed(0)
    two = timm_model("test_resnet", False, {}, channels=3).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_mambaout"])
def test_declared_width_is_that_of_the_pooled_output(name: str) -> None:
    model = timm_model(name, False, {}, channels=3).eval()
    side = model.pretrained_cfg["input_size"][-1]
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, side, side)).shape == (1, output_width(model))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_model_takes_the_channels_it_is_asked_for(channels: int) -> None:
    model = timm_model("test_resnet", False, {}, channels=channels)
    assert model.forward_features(torch.zeros(1, channels, 64, 64)).ndim == 4
    with pytest.raises(ConfigError, match=rf"in_chans 4, but its input has {channels} channels"):
        timm_model("test_resnet", False, {"in_chans": 4}, channels=channels)


def test_pretrained_weights_that_cannot_be_fetched_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"test_vit.*pretrained weights can't be fetched"):
        ImageEncoder("test_vit.r160_in1k", pretrained=True)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("vit_tiny_pach16_224", "did you mean .*vit_tiny_patch16_224"),
        ("qqqqqqqqqqqq", "timm has no model of this name$"),
    ],
)
def test_unknown_model_suggests_a_name_if_one_is_near(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        timm_model(name, False, {}, channels=3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"colour": 3}, "model test_vit: timm refuses the model_args: .*colour"),
        ({"num_heads": 7}, "model test_vit: timm can't build it: .*divisible by num_heads"),
    ],
)
def test_argument_that_timm_refuses_is_named(arguments: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        timm_model("test_vit", False, arguments, channels=3)
    assert "\n" not in str(caught.value)
