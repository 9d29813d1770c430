"""Sound without a container is told by frames that follow one another, and by nothing less."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.media.audio import decode_audio
from mmembed.media.formats import sniff
from mmembed.media.probe import probe

Make = Callable[..., Any]
KINDS = [
    ("mp3", "libmp3lame", "mp3", 44100),
    ("mp2", "mp2", "mp2", 48000),
    ("aac", "aac", "adts", 44100),
    ("ac3", "ac3", "ac3", 48000),
    ("eac3", "eac3", "eac3", 48000),
    ("latm", "aac", "latm", 44100),
]


def told(data: bytes, suffix: str = "") -> Any:
    def read_at(offset: int, count: int) -> bytes:
        return data[offset:] if count < 0 else data[offset : offset + count]

    content = sniff(read_at, suffix)
    return content and content[:2]


def id3(size: int, footer: bool = False) -> bytes:
    digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\4\0" + bytes([0x10 if footer else 0]) + digits + bytes(size + 10 * footer)


@pytest.fixture(scope="module")
def streams(tone: Make, encode_sound: Make) -> dict[str, bytes]:
    """For every format without a container, a second of it without any tag."""
    made = {}
    for name, codec, container, rate in KINDS:
        data = encode_sound(tone(1, rate), codec, container, rate)
        made[name] = data[data.find(b"\xff\xfb") :] if name == "mp3" else data
    return made


@pytest.mark.parametrize("name", [row[0] for row in KINDS])
def test_frames_tell_their_format_and_one_header_does_not(
    name: str, streams: dict[str, bytes]
) -> None:
    data = streams[name]
    assert told(data) == told(data, ".txt") == ("audio", name)
    assert told(data[:16] + bytes(len(data) - 16)) is None
    noise = np.random.default_rng(0).bytes(len(data))
    assert told(data[:16] + noise) is None


@pytest.mark.parametrize("name", ["mp3", "aac"])
@pytest.mark.parametrize("junk", [1, 100, 5000, 60_000])
def test_frames_behind_junk_are_found_and_decoded(
    name: str, junk: int, streams: dict[str, bytes]
) -> None:
    before = np.random.default_rng(junk).bytes(junk)
    data = before + streams[name]
    assert told(data) == ("audio", name)
    assert probe(data).format == name
    assert np.array_equal(decode_audio(streams[name]).samples, decode_audio(data).samples)


def test_frames_too_far_behind_junk_are_not_looked_for(streams: dict[str, bytes]) -> None:
    assert told(np.random.default_rng(0).bytes(70_000) + streams["mp3"]) is None


@pytest.mark.parametrize("name", [row[0] for row in KINDS])
@pytest.mark.parametrize("tags", [1, 2, 3])
def test_tags_in_front_of_frames_are_stepped_over(
    name: str, tags: int, streams: dict[str, bytes]
) -> None:
    data = b"".join(id3(1000 * i + 5, footer=i == 1) for i in range(tags)) + streams[name]
    assert told(data) == ("audio", name)
    plain, tagged = decode_audio(streams[name]), decode_audio(data)
    assert tagged.samples.shape == plain.samples.shape
    assert np.abs(tagged.samples - plain.samples).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("tta", "tta", "tta"), ("wavpack", "wavpack", "wv"), ("flac", "flac", "flac")],
)
def test_tags_in_front_of_files_with_headers(
    name: str, codec: str, container: str, tone: Make, encode_sound: Make
) -> None:
    plain = encode_sound(tone(1, 44100), codec, container, 44100)
    for tagged in (id3(300) + plain, id3(20) + id3(5000) + plain):
        assert probe(tagged).format == name
        assert np.array_equal(decode_audio(tagged).samples, decode_audio(plain).samples)


@pytest.mark.parametrize("format", ["WAV", "AIFF", "AU", "CAF", "OGG"])
def test_tags_in_front_of_what_libsndfile_reads(format: str, tone: Make, pcm: Make) -> None:
    subtype = "VORBIS" if format == "OGG" else "PCM_16"
    plain = pcm(tone(1), format, subtype)
    tagged = id3(300) + plain
    assert probe(tagged).format == probe(plain).format
    assert np.abs(decode_audio(tagged).samples - decode_audio(plain).samples).max() < 1e-4


def test_a_tag_of_ape_in_front_is_stepped_over(streams: dict[str, bytes]) -> None:
    item = (3).to_bytes(4, "little") + bytes(4) + b"Title\0abc"
    size, flags = (len(item) + 32).to_bytes(4, "little"), (0xA0000000).to_bytes(4, "little")
    fields = (2000).to_bytes(4, "little") + size + (1).to_bytes(4, "little")
    tag = b"APETAGEX" + fields + flags + bytes(8) + item
    tag += b"APETAGEX" + fields + (0x80000000).to_bytes(4, "little") + bytes(8)
    assert told(tag + streams["mp3"]) == ("audio", "mp3")
    assert told(tag + streams["aac"]) == ("audio", "aac")


def test_a_tag_alone_is_no_sound() -> None:
    assert told(id3(100)) is None
    assert told(id3(100) + b"hello" * 1000) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000))
def test_few_bytes_are_no_frames(data: bytes) -> None:
    answer = told(data)
    assert answer is None or answer[1] not in {row[0] for row in KINDS}


@pytest.mark.parametrize("seed", range(10))
def test_random_bytes_are_of_no_format(seed: int) -> None:
    data = np.random.default_rng(seed).bytes(300_000)
    assert told(data) is None
    dense = np.random.default_rng(seed).choice([0, 0xFF, 0xFB, 0x90, 0x47], 300_000)
    assert told(dense.astype(np.uint8).tobytes()) is None


@pytest.mark.parametrize("value", range(256))
def test_a_byte_that_repeats_is_of_no_format(value: int) -> None:
    assert told(bytes([value]) * 200_000) is None


def test_files_of_other_kinds_are_no_sound(streams: dict[str, bytes], picture: Make) -> None:
    texts = [
        b"GATTACA" * 30_000,
        ("Grüße, 世界. " * 9000).encode(),
        np.random.default_rng(0).choice(list(b"ACGT\n"), 200_000).astype(np.uint8).tobytes(),
        np.arange(1000, 30_000, dtype="<i2").tobytes(),
        np.sin(np.arange(100_000) / 30).astype("<f4").tobytes(),
    ]
    assert [told(text) for text in texts] == [None] * len(texts)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as output:
        for name, data in streams.items():
            output.writestr(name, data)
    assert told(archive.getvalue()) is None
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    for format, bare in (("BMP", 2), ("TIFF", 4), ("PNG", 8), ("JPEG", 3)):
        data = picture(format, Image.fromarray(noise))
        assert told(data)[0] == "image"
        assert told(bytes(bare) + data[bare:]) is None, format  # its pixels tell nothing
