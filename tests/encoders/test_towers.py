"""What each tower promises beyond the contract."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from mmembed.encoders import AudioEncoder, ImageEncoder, VideoEncoder
from mmembed.encoders.description import build, describe
from mmembed.encoders.pooling import GRUPooling, masked_mean
from mmembed.errors import ConfigError, SpaceError
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess


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


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_any_timm_conv_net_serves_as_audio_encoder(name: str) -> None:
    encoder = AudioEncoder(name).eval()
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 16000)).shape == (1, encoder.width)


def test_pretrained_weights_that_cannot_be_fetched_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"test_vit.*pretrained weights can't be fetched"):
        ImageEncoder("test_vit.r160_in1k", pretrained=True)


def test_unknown_model_suggests_a_name() -> None:
    with pytest.raises(ConfigError, match="did you mean .*vit_tiny_patch16_224"):
        ImageEncoder("vit_tiny_pach16_224")


def test_argument_that_timm_refuses_is_named() -> None:
    with pytest.raises(ConfigError, match="model test_vit: timm refuses the model_args: .*colour"):
        ImageEncoder("test_vit", model_args={"colour": 3})


def test_sizes_of_model_and_preprocess_must_agree() -> None:
    with pytest.raises(ConfigError, match=r"img_size 32 and preprocess.size 28 differ"):
        ImageEncoder("test_vit", model_args={"img_size": 32}, preprocess=ImagePreprocess(size=28))


def test_audio_encoder_refuses_a_model_without_a_map() -> None:
    with pytest.raises(ConfigError, match="not a map"):
        AudioEncoder("test_vit", model_args={"img_size": (64, 128), "dynamic_img_size": True})


def test_video_encoder_refuses_an_audio_encoder_for_frames() -> None:
    with pytest.raises(ConfigError, match="image must be an encoder of pictures, not AudioEncoder"):
        VideoEncoder(AudioEncoder("test_resnet"))


def test_loudness_and_microphone_are_standardised_away() -> None:
    torch.manual_seed(0)
    sound = torch.randn(1, 8000) * torch.linspace(0.05, 0.3, 8000)
    made = AudioEncoder("test_resnet", preprocess=AudioPreprocess(8000), standardise="band").eval()
    item = AudioEncoder("test_resnet", preprocess=AudioPreprocess(8000)).eval()
    for encoder in (made, item):
        quiet, _ = encoder.spectrogram(sound * 0.01)
        loud, _ = encoder.spectrogram(sound)
        assert (quiet - loud).abs().max() < 1e-3
    fixed = AudioEncoder("test_resnet", preprocess=AudioPreprocess(8000), floor=0).eval()
    assert (fixed.spectrogram(sound * 1e-4)[0] - fixed.spectrogram(sound)[0]).abs().max() > 0.5
    silent, _ = item.spectrogram(torch.zeros(1, 8000))
    assert torch.isfinite(silent).all()
    filtered = torchaudio_lowpass(sound)
    shifted, _ = made.spectrogram(filtered)
    raw = AudioEncoder("test_resnet", preprocess=AudioPreprocess(8000), standardise="none").eval()
    far = (raw.spectrogram(filtered)[0] - raw.spectrogram(sound)[0]).abs().mean()
    assert (shifted - loud).abs().mean() < 0.3 * far


def torchaudio_lowpass(sound: torch.Tensor) -> torch.Tensor:
    import torchaudio

    return torchaudio.functional.lowpass_biquad(sound, 8000, 1500.0)


def test_spectrogram_peaks_at_the_tone() -> None:
    encoder = AudioEncoder("test_resnet", preprocess=AudioPreprocess(8000), mels=64)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 8000)[None] * 0.5
    mel, valid = encoder.spectrogram(tone)
    band = int(mel[0, :, 10:-10].mean(1).argmax())
    mels = np.linspace(*(2595 * np.log10(1 + np.array([20.0, 4000.0]) / 700)), 66)
    centre = 700 * (10 ** (mels[band + 1] / 2595) - 1)
    assert abs(centre - 1000) < 60
    assert valid[:, :-1].all(), "only the frame centred behind the last sample is left out"


def test_masking_only_happens_in_training() -> None:
    encoder = AudioEncoder("test_resnet", time_masking=0.5, band_masking=0.5).eval()
    sound = torch.randn(2, 16000)
    with torch.no_grad():
        assert torch.equal(encoder(sound), encoder(sound))
        encoder.train()
        assert not torch.equal(encoder(sound), encoder(sound))


def test_video_frames_are_seen_alone_and_pooled() -> None:
    torch.manual_seed(0)
    image = ImageEncoder("test_vit", preprocess=ImagePreprocess(size=32))
    encoder = VideoEncoder(image, "mean", VideoPreprocess(frames=3)).eval()
    clip = torch.randint(0, 256, (1, 3, 3, 32, 32), dtype=torch.uint8)
    mask = torch.tensor([[True, True, False]])
    with torch.inference_mode():
        expected = image(clip[0, :2]).mean(0)
        assert torch.allclose(encoder(clip, mask)[0], expected, atol=1e-6)


def test_gru_pooling_hears_the_order_and_mean_does_not() -> None:
    torch.manual_seed(0)
    steps, mask = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    pool = GRUPooling(8).eval()
    assert not torch.allclose(pool(steps, mask), pool(steps.flip(1), mask), atol=1e-4)
    assert torch.allclose(masked_mean(steps, mask), masked_mean(steps.flip(1), mask))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class_path": "os.system", "init_args": {}}, "is not mmembed's own"),
        (
            {"class_path": "mmembed.encoders.image.ImageEncoder", "init_args": {"colour": 1}},
            "refuses the saved arguments",
        ),
    ],
)
def test_a_bad_description_is_refused(description: dict, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        build(description)


def test_an_argument_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(SpaceError, match="an encoder's argument of this type can't be saved"):
        describe({"value": object()})


def test_pretrained_is_described_as_false() -> None:
    encoder = ImageEncoder("test_vit")
    encoder._arguments["pretrained"] = True
    assert describe(encoder)["init_args"]["pretrained"] is False
