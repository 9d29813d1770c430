"""Headers of sound in chunks tell how much of it there was meant to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmembed.media.file import MediaFile
from mmembed.media.pcm_header import declared_share

RATE = 16000
Make = Callable[..., Any]


def share(data: bytes) -> float:
    with MediaFile(data) as file:
        return declared_share(file)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"])
def test_half_of_a_sound_declares_twice_as_much(format: str, subtype: str, pcm: Make) -> None:
    data = pcm(np.zeros((2, 4 * RATE), np.float32), format, subtype)
    assert share(data) == pytest.approx(1, abs=0.01)
    assert share(data[: len(data) // 2]) == pytest.approx(2, abs=0.1)
    assert share(data + bytes(50_000)) == 1  # what was added is not the sound's


def test_big_endian_wav_is_read_likewise(pcm: Make) -> None:
    data = pcm(np.zeros((1, RATE), np.float32))
    swapped = bytearray(data)
    swapped[:4] = b"RIFX"
    for at in (4, 16, 40):
        swapped[at : at + 4] = data[at : at + 4][::-1]
    assert share(bytes(swapped)) == 1
    assert share(bytes(swapped[: len(data) // 2])) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("size", [1, 2, 7, 5000])
def test_chunks_before_the_sound_are_stepped_over(size: int, pcm: Make) -> None:
    data = pcm(np.zeros((1, RATE), np.float32))
    chunk = b"LIST" + size.to_bytes(4, "little") + bytes(size + size % 2)  # padded to even
    whole = data[:12] + chunk + data[12:]
    assert share(whole) == 1
    assert share(whole[:-RATE]) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_length_that_was_never_filled_in_is_not_declared(size: int, pcm: Make) -> None:
    data = pcm(np.zeros((1, RATE), np.float32))
    at = data.index(b"data") + 4
    assert share(data[:at] + size.to_bytes(4, "little") + data[at + 4 :]) == 1


@pytest.mark.parametrize(
    "data", [b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\1\0\0\0", b".snd", b"caff\0\1\0\0"]
)
def test_a_header_that_is_cut_short_declares_nothing(data: bytes) -> None:
    assert share(data) == 1


def test_other_formats_declare_nothing_here(pcm: Make) -> None:
    assert share(pcm(np.zeros((1, RATE), np.float32), "FLAC")) == 1
