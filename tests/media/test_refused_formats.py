"""Formats that can't be decoded are refused by name, in one line with the way out."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmembed.errors import MediaError
from mmembed.media.audio import decode_audio
from mmembed.media.probe import probe
from mmembed.media.refused_formats import REFUSED, UNKNOWN, refusal

Make = Callable[..., Any]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as output:
        output.writestr("song.txt", "la")
    return file.getvalue()


EXAMPLES = {
    "MIDI": [b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk", b"RIFF\x20\0\0\0RMIDdata"],
    "module music": [
        b"Extended Module: a song",
        b"IMPM a song",
        bytes(44) + b"SCRM",
        b"song".ljust(1080, b"\0") + b"M.K." + bytes(100),
    ],
    "a playlist": [
        b"#EXTM3U\n#EXT-X-VERSION:3\nfirst.ts\n",
        b"\xef\xbb\xbf#EXTM3U\nsong.mp3\n",
        b"[playlist]\nFile1=song.mp3\n",
        b"[Reference]\nRef1=http://example.com/a.asf\n",
        b'<ASX version="3.0"><entry/></ASX>',
        b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        b"ffconcat version 1.0\nfile a.mp4\n",
    ],
    "a segment of a stream": [
        b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix",
        b"\0\0\0\x60moof\0\0\0\x10mfhd" + bytes(80),
        b"\x1f\x43\xb6\x75\1\xff\xff\xff",
    ],
    "Audible": [b"\0\0\0\x20ftypaax \0\0\0\1", b"\0\1\2\3\x57\x90\x75\x36" + bytes(40)],
    "Flash film": [b"CWS\x0a\x40\x1f\0\0" + bytes(40), b"FWS\6\x40\x1f\0\0" + bytes(40)],
    "a track of a CD": [b"RIFF\x24\0\0\0CDDAfmt "],
    "OptimFROG": [b"OFR \x0c\0\0\0"],
    "JPEG XL": [b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "a frame of film": [b"SDPX\0\0\x20\0", b"\x76\x2f\x31\1\2\0\0\0"],
    "a camera's raw data": [b"\0\0\0\x18ftypcrx \0\0\0\1", b"FUJIFILMCCD-RAW 0201", b"IIU\0\x18\0"],
    "SVG": [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b'<?xml version="1.0"?>\n<svg/>'],
    "PDF": [b"%PDF-1.7\n"],
    "a web page": [b"<!DOCTYPE html><html><head>", b"\n<html lang=en>"],
    "Git LFS": [b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"],
    "an archive": [archive(), b"\x1f\x8b\x08\0\0\0\0\0", b"7z\xbc\xaf\x27\x1c\0\4"],
}


@pytest.mark.parametrize(
    ("name", "data"), [(name, data) for name, all_of in EXAMPLES.items() for data in all_of]
)
def test_what_is_not_read_is_named_with_the_way_out(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"  # whatever it is called
    path.write_bytes(data)
    with pytest.raises(MediaError) as caught:
        probe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: is ")
    assert name in message
    assert message.endswith(".")
    assert "\n" not in message
    assert "no known format" not in message
    with pytest.raises(MediaError, match=re.escape(name)):
        decode_audio(path)


def test_each_refused_format_has_an_example_and_stands_in_the_page_of_formats() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    listed = page[page.index("## Refused") :]
    for each in REFUSED:
        assert any(name in each.name for name in EXAMPLES), each.name
        assert f"| {each.name} | {each.way_out} |" in listed, each.name
    assert len(re.findall(r"^\| (?!---|format)", listed, re.MULTILINE)) == len(REFUSED)


def test_what_is_no_refused_format_is_unknown() -> None:
    assert refusal(lambda offset, count: bytes(count)) == UNKNOWN
    assert refusal(lambda offset, count: b"Flights of CWS and FWS, all day long") == UNKNOWN
    with pytest.raises(MediaError, match="of no known format"):
        probe(b"something else")
    with pytest.raises(MediaError, match="of no known format"):
        decode_audio(b"something else")
