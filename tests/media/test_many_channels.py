"""Sound of 8 channels and more is decoded and mixed; it must never end the process."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from mmembed.media.audio import decode_audio
from mmembed.media.resample import mix

Make = Callable[..., Any]
RATE = 48000
LAYOUTS = {8: "7.1", 10: "5.1.4", 12: "7.1.4", 16: "hexadecagonal", 24: "22.2"}


def many(samples: np.ndarray, codec: str, container: str, layout: str) -> bytes:
    """Encode ``(channels, samples)`` of float32."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE)
        stream.layout = layout
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(form, layout, RATE, stream.codec_context.frame_size or 1024)
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize(("codec", "container"), [("pcm_s16le", "matroska"), ("wavpack", "wv")])
def test_many_channels_are_decoded_each_and_mixed_to_one(
    channels: int, codec: str, container: str, tone: Make
) -> None:
    sent = tone(0.5, RATE, [200.0 + 100 * i for i in range(channels)])
    data = many(sent, codec, container, LAYOUTS[channels])
    got = decode_audio(data).samples
    assert got.shape == sent.shape
    rounded = 2**-7 if codec == "wavpack" else 1e-3  # PyAV's WavPack takes 8 bits
    assert np.abs(got - sent).max() < rounded
    mono = decode_audio(data, channels=1, sample_rate=RATE // 3).samples
    assert mono.shape == (1, sent.shape[1] // 3)
    plain = decode_audio(data, channels=1).samples[0]
    assert np.abs(plain - sent.mean(axis=0)).max() < rounded


def test_seven_and_one_of_aac_is_decoded(tone: Make) -> None:
    sent = tone(1, RATE, [200.0 + 100 * i for i in range(8)])
    got = decode_audio(many(sent, "aac", "mp4", "7.1"), channels=1).samples[0]
    assert len(got) == pytest.approx(RATE, abs=2048)
    mixed = sent.mean(axis=0)
    assert max(np.corrcoef(got[at : at + 40000], mixed[:40000])[0, 1] for at in (0, 1024)) > 0.9


def test_eight_channels_are_mixed_to_two_and_made_of_two() -> None:
    rng = np.random.default_rng(0)
    eight = rng.uniform(-1, 1, (8, 1000)).astype(np.float32) / 8
    left, right = mix(eight, 2)
    half = 0.5**0.5  # libswresample's matrix: of 7.1 the LFE is left out, the sum is no louder
    sums = [eight[i] + half * (eight[2] + eight[4 + i] + eight[6 + i]) for i in (0, 1)]
    assert np.allclose(left, sums[0] / (1 + 3 * half), atol=1e-5)
    assert np.allclose(right, sums[1] / (1 + 3 * half), atol=1e-5)
    out = mix(eight[:2], 8)
    assert out.shape == (8, 1000)
    assert np.allclose(out[:2], eight[:2], atol=1e-6)
