"""Sound in memory keeps its pitch, length and level when its rate or channels change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.media.audio import Waveform, convert
from mmembed.media.resample import fit, needed_range, resample
from mmembed.media.spans import Span

RATE = 16000


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
@pytest.mark.parametrize("rate_out", [8000, 16000, 44100])
def test_resampling_keeps_pitch_and_length(rate: int, rate_out: int) -> None:
    time = np.arange(rate + 17) / rate
    wave = Waveform(np.sin(2 * np.pi * 1000 * time)[None].astype(np.float32), rate)
    got = convert(wave, sample_rate=rate_out)
    assert abs(got.samples.shape[1] - (rate + 17) * rate_out / rate) <= 0.5
    expected = np.sin(2 * np.pi * 1000 * np.arange(got.samples.shape[1]) / rate_out)
    assert np.abs(got.samples[0] - expected)[200:-200].max() < 2e-3


@pytest.mark.parametrize("samples", [2, 3, 50, 1000, 300_001])
def test_resampling_keeps_the_length_of_short_and_long_sound(samples: int) -> None:
    wave = Waveform(np.ones((2, samples), np.float32), 48000)
    for rate in (16000, 44100, 22051):
        got = convert(wave, sample_rate=rate).samples
        assert got.shape == (2, round(samples * rate / 48000))


def test_what_is_beyond_the_new_band_is_filtered_out() -> None:
    time = np.arange(48000) / 48000
    wave = Waveform(np.sin(2 * np.pi * 15000 * time)[None].astype(np.float32), 48000)
    assert np.abs(convert(wave, sample_rate=16000).samples[0, 200:-200]).max() < 0.01


def test_channels_are_kept_repeated_or_mixed() -> None:
    mono = Waveform(np.full((1, 500), 0.5, np.float32), RATE)
    assert convert(mono, channels=2).samples.tolist() == np.full((2, 500), 0.5).tolist()
    six = Waveform(np.full((6, 500), 0.5, np.float32), RATE)
    assert convert(six).samples is six.samples
    mixed = convert(six, channels=2).samples
    assert mixed.shape == (2, 500)
    assert np.allclose(mixed, 0.5, atol=1e-5)
    with pytest.raises(ValueError, match="can't mix 6 channels to 9"):
        convert(six, channels=9)


def test_nothing_to_convert_returns_the_same_object() -> None:
    wave = Waveform(np.zeros((2, 10), np.float32), RATE)
    assert convert(wave, sample_rate=RATE, channels=2) is wave
    assert convert(wave) is wave


def test_a_waveform_says_what_it_must_hold() -> None:
    for samples in (np.zeros(5, np.float32), np.zeros((1, 5), np.float64)):
        with pytest.raises(ValueError, match="a waveform holds float32"):
            Waveform(samples, RATE)


@settings(max_examples=40, deadline=None)
@given(
    rates=st.tuples(*[st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000])] * 2),
    start=st.floats(0, 2.5),
    length=st.floats(0, 1.5),
)
def test_what_a_span_rests_on_is_enough_to_resample_it_exactly(
    rates: tuple[int, int], start: float, length: float
) -> None:
    rate, rate_out = rates
    whole = np.random.default_rng(0).standard_normal((1, 3 * rate)).astype(np.float32)
    span = Span(0, start, start + length)
    first, stop = needed_range(span, rate, rate_out)
    got, begin = fit(whole[:, first:stop], first, span, rates)
    expected = resample(whole, rate, rate_out)
    assert begin == round(start * rate_out)
    expected = expected[:, begin : round((start + length) * rate_out)]
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0) < 1e-4
