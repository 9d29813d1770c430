"""Formats are told by bytes alone: enough of them, and no others."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.media.formats import (
    BY_SOUNDFILE,
    CHUNKED,
    DEMUXERS,
    MAGIC,
    PICTURE_BRANDS,
    id3_bytes,
    sniff,
)
from mmembed.modality import kinds

Make = Callable[..., Any]


def told(data: bytes, suffix: str = "") -> Any:
    """The format of bytes, and that no more was read of them than is there."""

    def read_at(offset: int, count: int) -> bytes:
        return data[offset:] if count < 0 else data[offset : offset + count]

    return sniff(read_at, suffix)


@pytest.mark.parametrize(("offset", "magic", "modality", "name"), MAGIC)
def test_magic_bytes_tell_a_format_whatever_follows(
    offset: int, magic: bytes, modality: str, name: str
) -> None:
    rng = np.random.default_rng(0)
    heads = {8: sorted(CHUNKED), 28: [b"OggS"], 0: [b""]}[offset]
    for head in heads:
        for size in (0, 7, 5000):
            data = head.ljust(offset, b"\1") + magic + rng.bytes(size)
            assert told(data) == told(data, suffix=".txt") == (modality, name)


@pytest.mark.parametrize(("offset", "magic"), [row[:2] for row in MAGIC if row[0]])
def test_magic_bytes_inside_count_only_in_their_container(offset: int, magic: bytes) -> None:
    assert told(b"\1" * offset + magic + bytes(60)) is None


def test_each_sound_and_video_format_has_a_reader() -> None:
    named = {name for _, _, modality, name in MAGIC if modality in ("audio", "video")}
    assert named <= set(DEMUXERS)
    assert set(DEMUXERS) >= BY_SOUNDFILE
    assert {modality for _, _, modality, _ in MAGIC} <= set(kinds())


def test_the_page_of_formats_names_those_that_are_known_and_no_others() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    pictures = {row[3] for row in MAGIC if row[2] == "image"} | {"bmp", "ppm", "ico"}
    pictures |= set(PICTURE_BRANDS.values())
    rows = re.findall(r"^\| (\w+) \|", page, re.MULTILINE)
    assert sorted(rows[1:]) == sorted(pictures)
    sounds, others = re.search(r"libsndfile reads ([^;]*); .*: (.*)\.", page, re.DOTALL).groups()
    assert set(re.findall(r"\w+", sounds)) - {"and"} == set(BY_SOUNDFILE)
    assert set(re.findall(r"\w+", others)) - {"and"} == set(DEMUXERS)


@pytest.mark.parametrize(
    ("codec", "rate"),
    [("libmp3lame", rate) for rate in (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)]
    + [("mp2", rate) for rate in (16000, 22050, 24000, 32000, 44100, 48000)],
)
@pytest.mark.parametrize("bit_rate", [32_000, 64_000, 96_000])
def test_bare_mpeg_sound_of_any_rate_is_told_by_its_frames(
    codec: str, rate: int, bit_rate: int, write_sound: Make, tone: Make
) -> None:
    file = io.BytesIO()
    options = {"write_xing": "0", "id3v2_version": "0"} if codec == "libmp3lame" else {}
    container = "mp3" if codec == "libmp3lame" else "mp2"
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout, stream.bit_rate = "mono", bit_rate
        write_sound(output, stream, tone(1, rate))
    data = file.getvalue()
    assert data[0] == 0xFF
    assert told(data) == ("audio", "mp3")
    assert told(data[:4] + bytes(len(data) - 4)) is None  # one header alone may be anything


@pytest.mark.parametrize(
    ("major", "compatible", "expected"),
    [
        (b"heic", [b"mif1"], ("image", "heic")),
        (b"heix", [], ("image", "heic")),
        (b"mif1", [b"mif1", b"heic"], ("image", "heic")),
        (b"mif1", [b"miaf", b"avif"], ("image", "avif")),
        (b"msf1", [b"hevc", b"iso8"], ("image", "heic")),
        (b"avis", [b"msf1", b"iso8"], ("image", "avif")),
        (b"mif1", [], ("image", "heic")),
        (b"isom", [b"avif", b"mp41"], ("video", "mp4")),
        (b"qt  ", [], ("video", "mov")),
        (b"M4A ", [b"isom"], ("audio", "m4a")),
        (b"3gp5", [b"isom"], ("video", "mp4")),
    ],
)
def test_brands_tell_pictures_from_films(
    major: bytes, compatible: list[bytes], expected: tuple[str, str]
) -> None:
    brands = major + bytes(4) + b"".join(compatible)
    box = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    assert told(box + b"heicavif") == expected  # what follows the box is no brand
    assert told(box[:12]) == told(major.join([b"\0\0\0\x0cftyp", b""]))


@pytest.mark.parametrize("head", [b"P6\n", b"P5 ", b"P1\n# made by hand\n"])
def test_a_portable_pixmap_is_told_by_what_follows_its_two_letters(head: bytes) -> None:
    assert told(head + b"4 2\n255\n" + bytes(24)) == ("image", "ppm")
    assert told(head[:3] + b"rose") is None
    assert told(head[:2] + b"4 2\n255\n") is None


def test_an_icon_is_told_by_its_first_entry() -> None:
    entry = bytes([32, 32, 0, 0]) + (1).to_bytes(2, "little") + (32).to_bytes(2, "little")
    entry += (100).to_bytes(4, "little") + (22).to_bytes(4, "little")
    assert told(b"\0\0\1\0\1\0" + entry + bytes(100)) == ("image", "ico")
    assert told(b"\0\0\1\0\0\0" + entry + bytes(100)) is None
    assert told(b"\0\0\1\0\2\0" + entry + bytes(100)) is None  # its picture would be an entry
    assert told(b"\0\0\1\0") is None


def test_text_is_utf8_that_is_called_text() -> None:
    assert told("Grüße, 世界".encode(), suffix=".txt") == ("text", "txt")
    assert told("Grüße, 世界".encode()) is None
    assert told(b"", suffix=".txt") is None
    assert told("Grüße".encode("latin-1"), suffix=".txt") is None
    assert told(b"a\0b", suffix=".txt") is None
    assert told(b"a" * 9000 + b"\xff", suffix=".txt") is None  # all of it must be text


@settings(deadline=None)
@given(st.integers(0, 200_000), st.booleans(), st.sampled_from([b"fLaC", b"\xff\xf1"]))
def test_a_tag_of_any_size_is_stepped_over(size: int, footer: bool, magic: bytes) -> None:
    digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    head = b"ID3\4\0" + bytes([0x10 if footer else 0]) + digits
    tag = head + bytes(size + 10 * footer)
    assert id3_bytes(head) == len(tag)
    name = "flac" if magic == b"fLaC" else "mp3"  # what follows a tag is sound at the least
    assert told(tag + magic + bytes(40)) == ("audio", name)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=500), st.booleans())
def test_any_bytes_are_one_of_the_formats_or_none(data: bytes, named_text: bool) -> None:
    answer = told(data, ".txt" if named_text else "")
    if answer is None:
        return
    modality, name = answer
    assert modality in kinds()
    pictures = {row[3] for row in MAGIC if row[2] == "image"} | {"bmp", "ppm", "ico"}
    pictures |= set(PICTURE_BRANDS.values())
    assert name in pictures | set(DEMUXERS) | {"txt"}
    assert modality != "text" or named_text
