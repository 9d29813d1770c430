"""The image encoder is the timm model that it names, on pictures normalised as it wants them."""

from __future__ import annotations

import pytest
import timm
import torch

from mmembed.encoders import ImageEncoder
from mmembed.encoders.base import normalise
from mmembed.errors import ConfigError
from mmembed.preprocess.image import ImagePreprocess
from tests.encoders.contract import Example, picture

TINY = {"patch_size": 7, "embed_dim": 32, "depth": 1, "num_heads": 2}


def tiny() -> ImageEncoder:
    return ImageEncoder(
        "vit_tiny_patch16_224", model_args=TINY, preprocess=ImagePreprocess(size=28)
    )


EXAMPLES = {"image": Example(tiny, picture)}


def test_image_encoder_equals_the_timm_model_it_names() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder("test_vit").eval()
    reference = timm.create_model("test_vit", num_classes=0).eval()
    reference.load_state_dict(encoder.backbone.state_dict())
    config = timm.data.resolve_model_data_config(reference)
    pixels = torch.randint(0, 256, (2, 3, *config["input_size"][1:]), dtype=torch.uint8)
    mean, std = (torch.tensor(config[k]).view(3, 1, 1) for k in ("mean", "std"))
    with torch.inference_mode():
        expected = reference((pixels / 255 - mean) / std)
        assert torch.allclose(encoder(pixels), expected, atol=1e-6)
    assert encoder.preprocess.size == config["input_size"][-1]
    assert encoder.preprocess.crop_fraction == config["crop_pct"]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_mambaout"])
def test_any_timm_model_serves_as_image_encoder(name: str) -> None:
    encoder = ImageEncoder(name).eval()
    size = encoder.preprocess.size
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 3, size, size)).shape == (1, encoder.width)


def test_published_preprocess_is_that_of_the_model() -> None:
    encoder = ImageEncoder("test_vit", model_args={"img_size": (96, 96)})
    config = timm.data.resolve_model_data_config(encoder.backbone)
    assert encoder.preprocess.size == 96
    assert encoder.preprocess.mean == tuple(config["mean"])
    assert encoder.preprocess.std == tuple(config["std"])
    assert encoder.preprocess.interpolation == config["interpolation"]


def test_a_vit_takes_its_size_from_the_preprocess() -> None:
    encoder = ImageEncoder("test_vit", preprocess=ImagePreprocess(size=48))
    assert encoder.backbone.patch_embed.img_size == (48, 48)


def test_sizes_of_model_and_preprocess_must_agree() -> None:
    with pytest.raises(ConfigError, match=r"img_size 32 and preprocess.size 28 differ"):
        ImageEncoder("test_vit", model_args={"img_size": 32}, preprocess=ImagePreprocess(size=28))


@pytest.mark.parametrize("values", [{"mean": (0.5,)}, {"std": (0.5, 0.5)}])
def test_a_preprocess_of_other_than_three_channels_is_named(values: dict) -> None:
    preprocess = ImagePreprocess(size=28, **values)
    with pytest.raises(ConfigError, match="mean and std of the preprocess need three values each"):
        ImageEncoder("test_vit", preprocess=preprocess)


def test_pictures_are_normalised_alike_as_bytes_and_as_numbers() -> None:
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor(0.25)
    pixels = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    expected = (pixels.double() / 255 - mean) / std
    assert torch.allclose(normalise(pixels, mean, std).double(), expected, atol=1e-6)
    assert torch.allclose(normalise(pixels.float(), mean, std).double(), expected, atol=1e-6)
    half = normalise(pixels.bfloat16(), mean.bfloat16(), std.bfloat16())
    assert half.dtype == torch.bfloat16


def test_normalisation_is_not_saved_among_the_weights() -> None:
    encoder = tiny()
    assert not {"mean", "std"} & set(encoder.state_dict())
    assert {"mean", "std"} <= {name for name, _ in encoder.named_buffers()}
