"""Headers of WAV and AIFF tell how long the sound was meant to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.media.file import MediaFile
from mmembed.media.pcm_header import clearly_short, declared_pcm_seconds

RATE = 16000
Make = Callable[..., Any]


def declared(data: bytes, kind: str) -> float | None:
    with MediaFile(data) as file:
        return declared_pcm_seconds(file, kind, RATE)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_wav_declares_its_length_however_much_is_there(
    subtype: str, channels: int, pcm: Make
) -> None:
    data = pcm(np.zeros((channels, 3 * RATE // 2), np.float32), "WAV", subtype)
    for size in (len(data), len(data) // 2, 200):
        assert declared(data[:size], "wav") == pytest.approx(1.5)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_an_aiff_declares_its_length_however_much_is_there(subtype: str, pcm: Make) -> None:
    data = pcm(np.zeros((2, 3 * RATE // 2), np.float32), "AIFF", subtype)
    for size in (len(data), len(data) // 2, 200):
        assert declared(data[:size], "aiff") == pytest.approx(1.5)


@pytest.mark.parametrize("size", [1, 2, 7, 5000])
def test_chunks_before_the_sound_are_stepped_over(size: int, pcm: Make) -> None:
    data = pcm(np.zeros((1, RATE), np.float32))
    chunk = b"LIST" + size.to_bytes(4, "little") + bytes(size + size % 2)  # padded to even
    assert declared(data[:12] + chunk + data[12:], "wav") == pytest.approx(1.0)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_length_that_was_never_filled_in_is_not_declared(size: int, pcm: Make) -> None:
    data = pcm(np.zeros((1, RATE), np.float32))
    at = data.index(b"data") + 4
    assert declared(data[:at] + size.to_bytes(4, "little") + data[at + 4 :], "wav") is None


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\1\0\0\0"])
def test_a_header_that_is_cut_short_declares_nothing(data: bytes) -> None:
    assert declared(data, "wav") is None
    assert declared(data, "aiff") is None


def test_other_formats_declare_nothing_here(pcm: Make) -> None:
    assert declared(pcm(np.zeros((1, RATE), np.float32), "FLAC"), "flac") is None


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_sound_is_clearly_short_by_a_quarter_of_a_second_and_two_percent(
    end: float, declared_seconds: float
) -> None:
    short = clearly_short(end, declared_seconds)
    missing = declared_seconds - end
    assert short == (missing > 0.25 and missing > 0.02 * declared_seconds)
    assert not clearly_short(end, None)
    assert not clearly_short(declared_seconds, declared_seconds)
