"""Sound without a container, told by frames that follow one another: MPEG, ADTS, LATM, AC-3, DTS.

One frame's header is a few bits that anything may hold by chance. So several are asked for, each
beginning where the one before it ends and of its kind; more of them behind junk.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

AT_START = 3  # frames that follow one another at the beginning of a file
AT_END = 2  # as many are enough where the file ends with them
BEHIND_JUNK = 8
JUNK_BYTES = 1 << 16  # FFmpeg looks no further for the first frame
SYNC = re.compile(rb"\xff(?=[\xe2-\xff])")
MPEG_KBPS = {  # by version is 1, layer; ISO 11172-3 and 13818-3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


class Frame(NamedTuple):
    """A frame's format, its size in bytes, and bits of its header that all frames share."""

    format: str
    size: int
    alike: int


def sound_at_start(data: bytes, *, whole: bool) -> str | None:
    """Return the format of the frames that ``data`` begins with, None if they are none.

    Args:
        data: the beginning of a file, tags left out.
        whole: whether it is all of the file.
    """
    return next((name for read in READERS if (name := _run(data, 0, read, AT_START, whole))), None)


def sound_behind_junk(data: bytes, *, whole: bool) -> tuple[str, int] | None:
    """Return format and place of the first MPEG or ADTS frames in ``data``, None if it has none.

    Args:
        data: the beginning of a file, tags left out.
        whole: whether it is all of the file.
    """
    for match in SYNC.finditer(data, 0, JUNK_BYTES):
        for read in (mpeg_frame, adts_frame):
            if name := _run(data, match.start(), read, BEHIND_JUNK, whole):
                return name, match.start()
    return None


def id3_bytes(head: bytes) -> int:
    """Return how long an ID3v2 tag is that a file begins with, its header and footer included."""
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _run(
    data: bytes, at: int, read: Callable[[bytes], Frame | None], count: int, whole: bool
) -> str | None:
    """Return the format of ``count`` frames from ``at`` on, or of a few that end the file."""
    first: Frame | None = None
    for number in range(count):
        head = data[at : at + 16]
        while head[:3] == b"ID3" and len(head) >= 10:  # live streams have tags between frames
            at += id3_bytes(head)
            head = data[at : at + 16]
        frame = read(head)
        if frame is None or (first is not None and frame.alike != first.alike):
            ended = whole and at >= len(data) and number >= AT_END + count - AT_START
            return first.format if first is not None and ended else None
        first = first or frame
        at += frame.size
    return first.format if first is not None else None


def mpeg_frame(head: bytes) -> Frame | None:
    """Return the MPEG-1 or MPEG-2 audio frame of a header, None if it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    hertz = (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    bits = MPEG_KBPS[version == 3, layer][bitrate] * 1000
    if layer == 1:
        size = (12 * bits // hertz + padding) * 4
    else:
        samples = 72 if layer == 3 and version != 3 else 144
        size = samples * bits // hertz + padding
    return Frame(f"mp{layer}", size, (head[1] & 0xFE) << 8 | head[2] & 0x0C)


def adts_frame(head: bytes) -> Frame | None:
    """Return the AAC frame of an ADTS header (ISO 13818-7), None if it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    smallest = 7 if head[1] & 1 else 9
    return Frame("aac", size, (head[1] & 0xFE) << 8 | head[2] & 0xFC) if size > smallest else None


def latm_frame(head: bytes) -> Frame | None:
    """Return the AAC frame of a LOAS header (ISO 14496-3), None if it is none."""
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return None
    size = (head[1] & 0x1F) << 8 | head[2]
    return Frame("latm", size + 3, 0) if size else None


def ac3_frame(head: bytes) -> Frame | None:
    """Return the AC-3 or E-AC-3 frame of a header (ATSC A/52), None if it is none."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    rate, version = head[4] >> 6, head[5] >> 3
    if 10 < version <= 16:
        size = 2 * ((head[2] & 7) << 8 | head[3]) + 2
        return Frame("eac3", size, rate) if head[2] >> 6 != 3 and size > 6 else None
    code = head[4] & 63
    if version > 10 or rate == 3 or code >= 2 * len(AC3_KBPS):
        return None
    kbps = AC3_KBPS[code >> 1]
    words = (2 * kbps, kbps * 320 // 147 + code % 2, 3 * kbps)[rate]
    return Frame("ac3", 2 * words, rate)


def dts_frame(head: bytes) -> Frame | None:
    """Return the DTS frame of a header (ETSI TS 102 114), None if it is none.

    What DTS-HD adds to a frame follows it, and counts as one of its own.
    """
    if len(head) < 10:
        return None
    if head[:4] == b"\xfe\x7f\x01\x80":  # in words of little-endian order
        head = bytes(head[i ^ 1] for i in range(10))
    if head[:4] == b"\x7f\xfe\x80\x01":
        size = (head[5] & 3) << 12 | head[6] << 4 | head[7] >> 4
        return Frame("dts", size + 1, 0) if size > 94 else None
    if head[:4] != b"\x64\x58\x20\x25":
        return None
    if head[5] & 0x20:
        size = (head[6] & 1) << 19 | head[7] << 11 | head[8] << 3 | head[9] >> 5
    else:
        size = (head[6] & 31) << 11 | head[7] << 3 | head[8] >> 5
    return Frame("dts", size + 1, 0) if size > 10 else None


READERS = (mpeg_frame, adts_frame, latm_frame, ac3_frame, dts_frame)
