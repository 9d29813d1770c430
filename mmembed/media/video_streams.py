"""Video without a container's header: MPEG streams, H.264, HEVC and DV, told by what follows.

MPEG transport and program streams are told behind junk too, as players resynchronise.
"""

from __future__ import annotations

import re

from mmembed.media.sound_frames import JUNK_BYTES

PACKETS = 16  # of a transport stream, told by the byte that each begins with
FEWEST_PACKETS = 5  # as many are enough where the file ends with them
PACKET_SIZES = (188, 192, 204)  # plain, with a time stamp (Blu-ray, AVCHD), with parity (DVB)
UNITS = 64  # the most start codes looked at
PACK = re.compile(  # the header of MPEG-2 and of MPEG-1, and the start code that follows
    rb"\0\0\x01\xba(?:[\x40-\x7f].{8}(?:\xf8|[\xf9-\xff]\xff+)|[\x20-\x2f].{7})\0\0\x01[\xb9-\xff]",
    re.DOTALL,
)
MXF = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02"  # SMPTE 377: partition pack
START = re.compile(rb"\0\0\x01(?=(..))", re.DOTALL)


def video_at_start(data: bytes, *, whole: bool) -> str | None:
    """Return the format of the stream that ``data`` begins with, None if it is none.

    Args:
        data: the beginning of a file.
        whole: whether it is all of the file.
    """
    if any(_packets(data, at, size, whole) for at, size in ((0, 188), (4, 192), (0, 204))):
        return "mpegts"
    if (
        data[:3] == b"\x1f\x07\0"
        and data[80:83] == b"\x3f\x07\0"
        and data[160:163] == b"\x3f\x07\1"
    ):
        return "dv"  # SMPTE 314M: a header, two blocks of subcode
    return _by_start_codes(data) if re.match(rb"\0{2,8}\x01", data) else None


def video_behind_junk(data: bytes, *, whole: bool) -> tuple[str, int] | None:
    """Return format and place of a stream that begins somewhere in ``data``, None if none does.

    Args:
        data: the beginning of a file.
        whole: whether it is all of the file.
    """
    at = data.find(MXF, 0, JUNK_BYTES)
    if at > 0:
        return "mxf", at
    at = data.find(b"G", 0, JUNK_BYTES)
    while at >= 0:
        if any(_packets(data, at, size, whole) for size in PACKET_SIZES):
            return "mpegts", at
        at = data.find(b"G", at + 1, JUNK_BYTES)
    packs = [match.start() for match in PACK.finditer(data)]
    return ("mpeg", packs[0]) if len(packs) > 1 and packs[0] < JUNK_BYTES else None


def _packets(data: bytes, at: int, size: int, whole: bool) -> bool:
    """Return whether packets of a transport stream follow one another from ``at`` on."""
    begins = range(at, min(at + PACKETS * size, len(data) - 3), size)
    if len(begins) < (FEWEST_PACKETS if whole else PACKETS):
        return False
    # each with neither an error nor the reserved value of adaptation_field_control
    if not all(data[i] == 0x47 and data[i + 1] < 0x80 and data[i + 3] & 0x30 for i in begins):
        return False
    return len({data[i + 1 : i + 4] for i in begins}) > 1  # they are numbered; text may repeat


def _by_start_codes(data: bytes) -> str | None:
    """Return the format of an elementary stream by the kinds of its first units."""
    units = []
    for match in START.finditer(data):
        units.append(match.group(1))
        if len(units) == UNITS:
            break
    codes = {unit[0] for unit in units}
    if not codes:
        return None
    if max(codes) < 0x80:  # the first bit of a unit of H.264 and HEVC is 0
        if _of_hevc(units):
            return "hevc"
        types = {code & 31 for code in codes}
        return "h264" if {7, 8} <= types and types & {1, 2, 5} and max(types) < 24 else None
    if max(codes) > 0xB8:  # of a program stream
        return None
    pictures = 0 in codes and codes & set(range(1, 0xB0))
    if units[0][0] == 0xB3 and pictures and _sequence_header(data):
        return "mpegvideo"
    layers = codes & set(range(0x20, 0x30))
    return "m4v" if layers and 0xB6 in codes and units[0][0] in (0xB0, 0xB5, *range(0x30)) else None


def _of_hevc(units: list[bytes]) -> bool:
    """Return whether units have HEVC's header: its three parameter sets, and a picture."""
    types = {unit[0] >> 1 for unit in units}
    well = all(unit[1] & 7 for unit in units)  # nuh_temporal_id_plus1
    return well and {32, 33, 34} <= types and min(types) < 22 and max(types) < 48


def _sequence_header(data: bytes) -> bool:
    """Return whether the numbers of an MPEG-1 or MPEG-2 sequence header are possible ones."""
    head = data[data.find(b"\1\xb3") + 2 :][:8]
    width, height = head[0] << 4 | head[1] >> 4, (head[1] & 15) << 8 | head[2]
    return bool(
        width and height and 0 < head[3] >> 4 < 15 and 0 < head[3] & 15 < 14 and head[6] & 32
    )
