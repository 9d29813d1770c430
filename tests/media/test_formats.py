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

from mmembed.media.container_headers import PICTURE_BRANDS
from mmembed.media.formats import BY_SOUNDFILE, CHUNKED, DEMUXERS, MAGIC, SOUNDS, VIDEOS, sniff
from mmembed.media.sound_frames import id3_bytes
from mmembed.modality import kinds

Make = Callable[..., Any]
PICTURES = {row[3] for row in MAGIC if row[2] == "image"} | {"bmp", "ppm", "ico"}
PICTURES |= set(PICTURE_BRANDS.values())


def told(data: bytes, suffix: str = "") -> Any:
    """The format of bytes, and that no more was read of them than is there."""

    def read_at(offset: int, count: int) -> bytes:
        return data[offset:] if count < 0 else data[offset : offset + count]

    content = sniff(read_at, suffix)
    return content and content[:2]


@pytest.mark.parametrize(("offset", "magic", "modality", "name"), MAGIC)
def test_magic_bytes_tell_a_format_whatever_follows(
    offset: int, magic: bytes, modality: str, name: str
) -> None:
    rng = np.random.default_rng(0)
    heads = {8: sorted(CHUNKED), 0: [b""]}[offset]
    for head in heads:
        for size in (0, 7, 5000):
            data = head.ljust(offset, b"\1") + magic + rng.bytes(size)
            assert told(data) == told(data, suffix=".txt") == (modality, name)


@pytest.mark.parametrize(("offset", "magic"), [row[:2] for row in MAGIC if row[0]])
def test_magic_bytes_inside_count_only_in_their_container(offset: int, magic: bytes) -> None:
    assert told(b"\1" * offset + magic + bytes(60)) is None


def test_each_format_has_a_modality_and_each_sound_and_video_a_reader() -> None:
    for _, _, modality, name in MAGIC:
        assert {"audio": SOUNDS, "video": VIDEOS, "image": {name: ""}}[modality][name] is not None
    assert not set(SOUNDS) & set(VIDEOS)
    assert set(SOUNDS) >= BY_SOUNDFILE


def test_the_page_of_formats_names_those_that_are_known_and_no_others() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    listed = {
        s.partition("\n")[0]: re.findall(r"^\| (\w+) \|", s, re.MULTILINE)[1:] for s in sections
    }
    assert sorted(listed["Pictures"]) == sorted(PICTURES)
    assert listed["Sounds"] == sorted(SOUNDS)
    assert listed["Videos"] == sorted(VIDEOS)


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
    assert told(data) == ("audio", "mp3" if container == "mp3" else "mp2")
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
        (b"M4A ", [b"isom", b"mp42"], ("audio", "m4a")),
        (b"M4B ", [b"M4A "], ("audio", "m4b")),
        (b"M4P ", [], ("audio", "m4a")),
        (b"M4V ", [b"M4A "], ("video", "mp4")),
        (b"3gp5", [b"isom"], ("video", "3gp")),
        (b"3gr6", [], ("video", "3gp")),
        (b"3g2a", [b"3gp4"], ("video", "3g2")),
        (b"kddi", [b"3g2a"], ("video", "3g2")),
        (b"F4V ", [b"isom"], ("video", "f4v")),
        (b"mp42", [b"qt  ", b"3gp5"], ("video", "mp4")),
        (b"dash", [b"iso6"], ("video", "mp4")),
        (b"crx ", [b"isom"], None),
        (b"aax ", [b"M4B "], None),
    ],
)
def test_brands_tell_pictures_from_films(
    major: bytes, compatible: list[bytes], expected: tuple[str, str] | None
) -> None:
    brands = major + bytes(4) + b"".join(compatible)
    box = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    assert told(box + b"heicavif") == expected  # what follows the box is no brand
    assert told(box[:12]) == told(major.join([b"\0\0\0\x0cftyp", b""]))


@pytest.mark.parametrize("kind", [b"free", b"skip", b"wide"])
def test_padding_before_the_brands_tells_nothing(kind: bytes) -> None:
    padding = b"\0\0\0\x10" + kind + bytes(8)
    brands = b"\0\0\0\x14ftypM4A \0\0\0\0isom"
    assert told(padding + padding + brands) == ("audio", "m4a")
    assert told(padding + b"\0\0\0\x08moov") == ("video", "mov")
    assert told(padding + bytes(100)) is None


@pytest.mark.parametrize("text", [b"Get free beer and more", b"The moov and the mdat, or wide"])
def test_a_text_with_the_name_of_a_box_is_no_film(text: bytes) -> None:
    assert told(text[: text.find(b"free")] + text * 99) is None
    assert told(text * 99, ".txt") == ("text", "txt")


def test_the_document_type_tells_webm_from_matroska() -> None:
    for kind, name in ((b"webm", "webm"), (b"matroska", "mkv"), (b"webm\0\0", "webm")):
        body = b"\x42\x86\x81\1\x42\x82" + bytes([0x80 | len(kind)]) + kind
        head = b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(body)]) + body
        assert told(head + b"webm" * 10) == ("video", name)
    assert told(b"\x1a\x45\xdf\xa3") == ("video", "mkv")


def ogg_page(packet: bytes, *, begins: bool = True) -> bytes:
    return b"OggS\0" + bytes([2 * begins]) + bytes(20) + bytes([1, len(packet)]) + packet


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        ([b"\1vorbis"], ("audio", "ogg")),
        ([b"OpusHead"], ("audio", "opus")),
        ([b"Speex   1.2"], ("audio", "ogg")),
        ([b"\x7fFLAC\1\0"], ("audio", "ogg")),
        ([b"\x80theora"], ("video", "ogv")),
        ([b"\1vorbis", b"\x80theora"], ("video", "ogv")),
        ([b"fishead\0", b"OpusHead", b"\1vorbis", b"\x80theora"], ("video", "ogv")),
        ([b"fishead\0", b"OpusHead"], ("audio", "opus")),
        ([b"fishead\0", b"\1vorbis", b"OpusHead"], ("audio", "ogg")),
        ([b"OVP80\1"], ("video", "ogv")),
        ([b"something"], ("audio", "ogg")),
    ],
)
def test_every_stream_of_an_ogg_file_counts(
    packets: list[bytes], expected: tuple[str, str]
) -> None:
    data = b"".join(map(ogg_page, packets))
    later = ogg_page(b"\x80theora", begins=False)  # what is no beginning of a stream tells nothing
    assert told(data) == told(data + later + data) == expected


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
@given(st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=4))
def test_tags_of_any_size_and_number_are_stepped_over(tags: list[tuple[int, bool]]) -> None:
    before = b""
    for size, footer in tags:
        digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
        head = b"ID3\4\0" + bytes([0x10 if footer else 0]) + digits
        tag = head + bytes(size + 10 * footer)
        assert id3_bytes(head) == len(tag)
        before += tag
    assert told(before + b"fLaC" + bytes(40)) == ("audio", "flac")
    assert told(before + b"TTA1" + bytes(40)) == ("audio", "tta")
    assert told(before + b"\xff\xf1" + bytes(40)) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=500), st.booleans())
def test_any_bytes_are_one_of_the_formats_or_none(data: bytes, named_text: bool) -> None:
    answer = told(data, ".txt" if named_text else "")
    if answer is None:
        return
    modality, name = answer
    assert modality in kinds()
    assert name in PICTURES | set(DEMUXERS) | {"txt"}
    assert modality != "text" or named_text
