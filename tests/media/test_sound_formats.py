"""Sounds of each format, made from scratch: told by content, decoded to the tone they hold."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmembed.media.audio import decode_audio
from mmembed.media.formats import BY_SOUNDFILE, DEMUXERS, SOUNDS
from mmembed.media.probe import probe

Make = Callable[..., Any]
SECONDS = 1.5

# format, libsndfile's name, subtype, byte order
WRITTEN_BY_LIBSNDFILE = [
    ("wav", "WAV", "PCM_16", "LITTLE"),
    ("wav", "WAV", "PCM_24", "BIG"),  # RIFX
    ("wav", "RF64", "FLOAT", "FILE"),
    ("wav", "WAVEX", "PCM_16", "FILE"),
    ("w64", "W64", "PCM_16", "FILE"),
    ("aiff", "AIFF", "PCM_16", "FILE"),
    ("aiff", "AIFF", "FLOAT", "FILE"),  # AIFF-C
    ("au", "AU", "PCM_16", "BIG"),
    ("caf", "CAF", "PCM_16", "FILE"),
    ("caf", "CAF", "ALAC_16", "FILE"),
    ("voc", "VOC", "PCM_16", "FILE"),
    ("nist", "NIST", "PCM_16", "FILE"),
    ("ircam", "IRCAM", "PCM_16", "LITTLE"),
    ("ircam", "IRCAM", "PCM_16", "BIG"),
    ("svx", "SVX", "PCM_16", "FILE"),
    ("flac", "FLAC", "PCM_16", "FILE"),
    ("ogg", "OGG", "VORBIS", "FILE"),
]
# format, encoder, container, rate, correlation
WRITTEN_BY_FFMPEG = [
    ("mp3", "libmp3lame", "mp3", 44100, 0.99),
    ("mp2", "mp2", "mp2", 48000, 0.99),
    ("aac", "aac", "adts", 44100, 0.99),
    ("latm", "aac", "latm", 44100, 0.99),
    ("ac3", "ac3", "ac3", 48000, 0.99),
    ("eac3", "eac3", "eac3", 48000, 0.99),
    ("amr", "libopencore_amrnb", "amr", 8000, 0.9),
    ("m4a", "aac", "ipod", 44100, 0.99),
    ("m4a", "alac", "ipod", 44100, 1),
    ("ogg", "flac", "ogg", 44100, 1),
    ("opus", "libopus", "ogg", 48000, 0.99),
    ("wavpack", "wavpack", "wv", 44100, 1),
    ("tta", "tta", "tta", 44100, 1),
    ("caf", "pcm_s24be", "caf", 44100, 1),
    ("au", "pcm_mulaw", "au", 8000, 0.99),
    ("w64", "pcm_s16le", "w64", 48000, 1),
]


def correlation(got: np.ndarray, sent: np.ndarray, delay: int) -> float:
    """The best correlation of two sounds where one is up to ``delay`` samples late."""
    count = min(len(got), len(sent)) - delay
    sent = sent[:count]
    windows = np.lib.stride_tricks.sliding_window_view(got, count)[: delay + 1]
    norms = np.linalg.norm(windows, axis=1) * np.linalg.norm(sent)
    return float((windows @ sent / np.maximum(norms, 1e-9)).max())


@pytest.mark.parametrize(("format", "name", "subtype", "endian"), WRITTEN_BY_LIBSNDFILE)
def test_sounds_that_libsndfile_writes(
    format: str, name: str, subtype: str, endian: str, tone: Make
) -> None:
    import soundfile

    rate = 16000
    sent = tone(SECONDS, rate, (440.0, 660.0) if format != "svx" else (440.0,))
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, len(sent), subtype=subtype, endian=endian, format=name
    ) as output:
        output.write(sent.T)
    info, got = probe(file.getvalue()), decode_audio(file.getvalue())
    assert (info.modality, info.format, info.sample_rate) == ("audio", format, rate)
    assert info.channels == len(sent)
    assert got.sample_rate == rate
    assert info.duration_seconds == pytest.approx(SECONDS, abs=1e-3)
    assert got.samples.shape == sent.shape
    assert np.abs(got.samples - sent).max() < (0.1 if subtype == "VORBIS" else 1e-4)


@pytest.mark.parametrize(("format", "codec", "container", "rate", "least"), WRITTEN_BY_FFMPEG)
def test_sounds_that_ffmpeg_writes(
    format: str,
    codec: str,
    container: str,
    rate: int,
    least: float,
    tone: Make,
    encode_sound: Make,
) -> None:
    sent = tone(SECONDS, rate)
    data = encode_sound(sent, codec, container, rate)
    info, got = probe(data), decode_audio(data)
    assert (info.modality, info.format) == ("audio", format)
    assert (info.sample_rate, info.channels) == (rate, len(got.samples))
    delay = 0 if least == 1 else 3000
    assert abs(got.samples.shape[1] - sent.shape[1]) <= delay
    assert correlation(got.samples[0], sent[0], min(delay, 3000)) >= least - 1e-4


def test_an_audio_book_is_told_by_its_brand(tone: Make, encode_sound: Make) -> None:
    m4a = encode_sound(tone(SECONDS), "aac", "ipod")
    m4b = m4a[:8] + b"M4B " + m4a[12:]
    assert (probe(m4b).modality, probe(m4b).format) == ("audio", "m4b")
    assert np.array_equal(decode_audio(m4b).samples, decode_audio(m4a).samples)


def one_bit(sent: np.ndarray) -> np.ndarray:
    """A sound as the signs of a delta-sigma modulator of second order, as DSD stores it."""
    bits, first, second = np.empty(len(sent), np.uint8), 0.0, 0.0
    for i, value in enumerate(sent):
        bits[i] = second >= 0
        sign = 1.0 if bits[i] else -1.0
        first += value - sign
        second += first - 2 * sign
    return bits


def dsf(bits: np.ndarray, rate: int) -> bytes:
    """A DSF file of one channel (Sony's specification 1.01)."""
    block = 4096
    data = np.packbits(bits, bitorder="little").tobytes()
    padded = data.ljust(-(-len(data) // block) * block, b"\x69")
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, rate, 1, len(bits), block, 0)
    body = form + struct.pack("<4sQ", b"data", 12 + len(padded)) + padded
    return struct.pack("<4sQQQ", b"DSD ", 28, 28 + len(body), 0) + body


def dff(bits: np.ndarray, rate: int) -> bytes:
    """A DSDIFF file of one channel (Philips' specification 1.5)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">4sQ", kind, len(body)) + body + bytes(len(body) % 2)

    properties = b"SND " + chunk(b"FS  ", struct.pack(">I", rate))
    properties += chunk(b"CHNL", struct.pack(">H4s", 1, b"C   "))
    properties += chunk(b"CMPR", b"DSD \x0enot compressed\0")
    version = chunk(b"FVER", bytes((1, 5, 0, 0)))
    sound = chunk(b"DSD ", np.packbits(bits).tobytes())
    return chunk(b"FRM8", b"DSD " + version + chunk(b"PROP", properties) + sound)


@pytest.mark.parametrize(("format", "write"), [("dsf", dsf), ("dff", dff)])
def test_one_bit_sound(format: str, write: Callable[[np.ndarray, int], bytes], tone: Make) -> None:
    rate = 64 * 44100
    sent = tone(0.1, rate)[0]
    data = write(one_bit(sent), rate)
    info, got = probe(data), decode_audio(data, sample_rate=44100)
    assert (info.modality, info.format) == ("audio", format)
    assert info.duration_seconds == pytest.approx(0.1, abs=0.02)  # DSF is padded to blocks
    assert correlation(got.samples[0][:4410], sent[::64], 40) >= 0.99


def test_the_page_of_formats_says_of_each_sound_how_it_was_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    made = {row[0] for row in WRITTEN_BY_LIBSNDFILE + WRITTEN_BY_FFMPEG} | {"m4b", "dsf", "dff"}
    for name in SOUNDS:
        row = re.search(rf"^\| {name} \| (.*) \| (.*) \|$", page, re.MULTILINE)
        assert row, name
        assert row[1] == ("libsndfile, FFmpeg" if name in BY_SOUNDFILE else "FFmpeg"), name
        assert row[2].startswith(("read, untested", "by hand")) == (name not in made), name


def test_ffmpeg_has_every_container_that_the_table_names() -> None:
    names = {part for name in av.formats_available for part in name.split(",")}
    assert set(DEMUXERS.values()) <= names
