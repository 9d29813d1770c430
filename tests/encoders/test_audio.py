"""The audio encoder: its spectrogram, what it standardises away, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.encoders import AudioEncoder
from mmembed.encoders.spectrogram import Spectrogram
from mmembed.errors import ConfigError
from mmembed.preprocess.audio import AudioPreprocess
from tests.encoders.contract import Example, sound

SOUNDS = AudioPreprocess(8000, 2.0, 2.0, 0.25, 0.5)
LISTENER = AudioPreprocess(8000)


def made(pooling: str = "mean", **fields: object) -> AudioEncoder:
    spectrogram = Spectrogram(**{"mels": 32, **fields})
    return AudioEncoder("test_resnet", preprocess=SOUNDS, spectrogram=spectrogram, pooling=pooling)


EXAMPLES = {
    f"audio-{pooling}": Example(lambda pooling=pooling: made(pooling), sound)
    for pooling in ("mean", "attention", "gru")
}


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    return made().eval()


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_any_timm_conv_net_serves_as_audio_encoder(name: str) -> None:
    encoder = AudioEncoder(name).eval()
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 16000)).shape == (1, encoder.width)


def test_audio_encoder_refuses_a_model_without_a_map() -> None:
    with pytest.raises(ConfigError, match="not a map"):
        AudioEncoder("test_vit", model_args={"img_size": (64, 128), "dynamic_img_size": True})


@pytest.mark.parametrize(
    ("field", "value"),
    [("mels", 0), ("window_seconds", 0.0), ("step_seconds", 1e-6), ("floor", -1e-9)],
)
def test_a_spectrogram_of_nothing_is_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"AudioEncoder: .*{field} {value}.*must be positive"):
        made(**{field: value})


def test_a_spectrogram_larger_than_any_use_is_named() -> None:
    with pytest.raises(ConfigError, match="a window times the mels at most 16,777,216"):
        made(mels=1 << 15, window_seconds=10.0)


def test_loudness_and_microphone_are_standardised_away() -> None:
    torch.manual_seed(0)
    sound = torch.randn(1, 8000) * torch.linspace(0.05, 0.3, 8000)
    band, item, fixed, raw = (
        AudioEncoder("test_resnet", preprocess=LISTENER, spectrogram=each).eval()
        for each in (
            Spectrogram(standardise="band"),
            Spectrogram(),
            Spectrogram(floor=0),
            Spectrogram(standardise="none"),
        )
    )
    for encoder in (band, item):
        quiet, _ = encoder.log_mel(sound * 0.01)
        loud, _ = encoder.log_mel(sound)
        assert (quiet - loud).abs().max() < 1e-3
    assert (fixed.log_mel(sound * 1e-4)[0] - fixed.log_mel(sound)[0]).abs().max() > 0.5
    silent, _ = item.log_mel(torch.zeros(1, 8000))
    assert torch.isfinite(silent).all()
    filtered = torchaudio.functional.lowpass_biquad(sound, 8000, 1500.0)
    shifted = (band.log_mel(filtered)[0] - band.log_mel(sound)[0]).abs().mean()
    assert shifted < 0.3 * (raw.log_mel(filtered)[0] - raw.log_mel(sound)[0]).abs().mean()


def test_spectrogram_peaks_at_the_tone() -> None:
    encoder = AudioEncoder("test_resnet", preprocess=LISTENER)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 8000)[None] * 0.5
    mel, valid = encoder.log_mel(tone)
    band = int(mel[0, :, 10:-10].mean(1).argmax())
    mels = np.linspace(*(2595 * np.log10(1 + np.array([20.0, 4000.0]) / 700)), 66)
    centre = 700 * (10 ** (mels[band + 1] / 2595) - 1)
    assert abs(centre - 1000) < 60
    assert valid[:, :-1].all(), "only the frame centred behind the last sample is left out"


def test_highest_band_ends_where_it_is_asked_to() -> None:
    low = made(highest_hz=1000.0, standardise="none", floor=0)
    tone = torch.sin(2 * torch.pi * 3000 * torch.arange(8000) / 8000)[None]
    deep = torch.sin(2 * torch.pi * 500 * torch.arange(8000) / 8000)[None]
    assert low.log_mel(deep)[0].max() - low.log_mel(tone)[0][..., 5:-5].max() > 5


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6000))
def test_valid_frames_are_those_centred_in_the_sound(encoder: AudioEncoder, length: int) -> None:
    values = torch.zeros(1, 8000)
    mask = torch.arange(8000)[None] < length
    mel, valid = encoder.log_mel(values, mask)
    assert int(valid.sum()) == (length - 1) // encoder.step + 1
    assert (mel[:, :, ~valid[0]] == 0).all()


def test_samples_beyond_the_last_valid_window_change_nothing(encoder: AudioEncoder) -> None:
    length, reach = 3000, encoder.mel.n_fft
    values, mask = torch.zeros(1, 8000), torch.arange(8000)[None] < length
    values[:, :length] = torch.rand(1, length) - 0.5
    dirty = values.clone()
    dirty[:, length + reach :] = 0.7
    with torch.inference_mode():
        assert torch.equal(encoder(values, mask), encoder(dirty, mask))


def test_masking_only_happens_in_training() -> None:
    encoder = AudioEncoder("test_resnet", time_masking=0.5, band_masking=0.5).eval()
    sound = torch.randn(2, 16000)
    with torch.no_grad():
        assert torch.equal(encoder(sound), encoder(sound))
        encoder.train()
        assert not torch.equal(encoder(sound), encoder(sound))


def test_spectrogram_is_computed_in_fp32_under_autocast(encoder: AudioEncoder) -> None:
    sound = torch.rand(1, 8000) - 0.5
    with torch.autocast("cpu", torch.bfloat16):
        reduced, _ = encoder.log_mel(sound)
    assert torch.equal(reduced, encoder.log_mel(sound)[0])
