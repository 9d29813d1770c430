"""Formats: the bytes that tell each, whatever a file is called, and what reads it.

No decoder is loaded. What lies inside a container (an MP4 may hold sound alone) is for
:mod:`mmembed.media.probe` to tell.
"""

from __future__ import annotations

from typing import NamedTuple

from mmembed.media.container_headers import ReadAt, iso_format, matroska_format, ogg_format
from mmembed.media.refused_formats import is_refused
from mmembed.media.sound_frames import id3_bytes, sound_at_start, sound_behind_junk
from mmembed.media.video_streams import MXF, video_at_start, video_behind_junk
from mmembed.modality import Modality, extra_kinds

__all__ = ["ReadAt", "id3_bytes", "sniff"]

HEAD_BYTES = 4096
MOST_TAGS = 16
STREAM_BYTES = 1 << 17  # of a file without a header, to see frames or packets that follow
STREAM_STARTS = b"\xff\x0b\x56\x7f\xfe\x1f\x47\0"  # first bytes of those that are told by frames

SOUNDS = {  # format: FFmpeg's name of its container
    "aac": "aac",
    "ac3": "ac3",
    "aiff": "aiff",
    "amr": "amr",
    "ape": "ape",
    "au": "au",
    "caf": "caf",
    "dff": "iff",
    "dsf": "dsf",
    "dts": "dts",
    "eac3": "eac3",
    "flac": "flac",
    "ircam": "ircam",
    "latm": "loas",
    "m4a": "mov",
    "m4b": "mov",
    "mp1": "mp3",
    "mp2": "mp3",
    "mp3": "mp3",
    "musepack": "mpc",
    "musepack8": "mpc8",
    "nist": "nistsphere",
    "ogg": "ogg",
    "opus": "ogg",
    "shorten": "shn",
    "svx": "iff",
    "tak": "tak",
    "tta": "tta",
    "voc": "voc",
    "w64": "w64",
    "wav": "wav",
    "wavpack": "wv",
}
VIDEOS = {
    "3g2": "mov",
    "3gp": "mov",
    "asf": "asf",
    "avi": "avi",
    "dv": "dv",
    "f4v": "mov",
    "flv": "flv",
    "h264": "h264",
    "hevc": "hevc",
    "ivf": "ivf",
    "m4v": "m4v",
    "mj2": "mov",
    "mkv": "matroska",
    "mov": "mov",
    "mp4": "mov",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "mpegvideo": "mpegvideo",
    "mxf": "mxf",
    "nut": "nut",
    "ogv": "ogg",
    "realmedia": "rm",
    "webm": "matroska",
    "y4m": "yuv4mpegpipe",
}
DEMUXERS = SOUNDS | VIDEOS
WITH_ID3 = frozenset({"aac", "mp1", "mp2", "mp3"})  # FFmpeg steps over ID3 in front of these
BY_SOUNDFILE = frozenset(  # libsndfile reads these, and faster
    {"aiff", "au", "caf", "flac", "ircam", "nist", "ogg", "svx", "voc", "w64", "wav"}
)
# (offset, magic bytes, modality, format)
MAGIC: tuple[tuple[int, bytes, Modality, str], ...] = (
    (0, b"\xff\xd8\xff", "image", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image", "png"),
    (8, b"WEBP", "image", "webp"),
    (0, b"GIF87a", "image", "gif"),
    (0, b"GIF89a", "image", "gif"),
    (0, b"II*\0", "image", "tiff"),
    (0, b"MM\0*", "image", "tiff"),
    (0, b"II+\0", "image", "tiff"),
    (0, b"MM\0+", "image", "tiff"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image", "jpeg2000"),
    (0, b"\xff\x4f\xff\x51\0", "image", "jpeg2000"),
    (0, b"8BPS\0\1", "image", "psd"),
    (0, b"DDS \x7c\0\0\0", "image", "dds"),
    (8, b"WAVE", "audio", "wav"),
    (8, b"AIFF", "audio", "aiff"),
    (8, b"AIFC", "audio", "aiff"),
    (8, b"8SVX", "audio", "svx"),
    (8, b"16SV", "audio", "svx"),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", "audio", "w64"),
    (0, b"fLaC", "audio", "flac"),
    (0, b".snd\0", "audio", "au"),
    (0, b"caff\0\1", "audio", "caf"),
    *((0, bytes((0x64, 0xA3, machine, 0)), "audio", "ircam") for machine in range(1, 5)),
    *((0, bytes((0, machine, 0xA3, 0x64)), "audio", "ircam") for machine in range(1, 5)),
    (0, b"NIST_1A\n", "audio", "nist"),
    (0, b"Creative Voice File\x1a", "audio", "voc"),
    (0, b"#!AMR\n", "audio", "amr"),
    (0, b"#!AMR-WB\n", "audio", "amr"),
    (0, b"DSD \x1c\0\0\0", "audio", "dsf"),
    (0, b"TTA1", "audio", "tta"),
    (0, b"wvpk", "audio", "wavpack"),
    (0, b"MPCK", "audio", "musepack8"),
    (0, b"tBaK", "audio", "tak"),
    (0, b"ajkg", "audio", "shorten"),
    (8, b"AVI ", "video", "avi"),
    (8, b"CDXA", "video", "mpeg"),
    (0, b"FLV\x01", "video", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video", "asf"),
    (0, b"\x00\x00\x01\xba", "video", "mpeg"),
    (0, MXF, "video", "mxf"),
    (0, b"YUV4MPEG2 ", "video", "y4m"),
    (0, b"DKIF\0\0\x20\0", "video", "ivf"),
    (0, b".RMF\0\0\0", "video", "realmedia"),
    (0, b".ra\xfd\0", "video", "realmedia"),
    (0, b"nut/multimedia container\0", "video", "nut"),
)
CHUNKED = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"}  # magic at 8 counts only inside one of them
BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}


class Content(NamedTuple):
    """The content of a file.

    Attributes:
        modality: the likely one.
        format: as in ``DEMUXERS``, or of a picture, a text or another package.
        begin: the offset that decoders begin at: behind junk, and tags that they know not.
    """

    modality: Modality
    format: str
    begin: int = 0


def sniff(read_at: ReadAt, suffix: str) -> Content | None:
    """Return what a file holds by its bytes, None if it is unknown.

    Args:
        read_at: reads the file.
        suffix: the end of its name, in lower case: a text has no magic bytes, and all of it is
            read then.
    """
    head = read_at(0, HEAD_BYTES)
    tags = _tags_bytes(read_at) if _tag_bytes(head) else 0
    if tags:
        head = read_at(tags, HEAD_BYTES)

    def read_content(offset: int, count: int) -> bytes:
        within = head[offset : offset + count]
        return within if len(within) == count else read_at(tags + offset, count)

    known = _by_structure(head, read_content) or _by_magic(head)
    if known is not None:
        return Content(*known, tags)
    if not head:
        return None
    data = b""
    if head[0] in STREAM_STARTS or head[4:5] == b"G":
        data = read_content(0, STREAM_BYTES)
        whole = len(data) < STREAM_BYTES
        name = sound_at_start(data, whole=whole) or video_at_start(data, whole=whole)
        if name is not None:
            known_tag = name in WITH_ID3 and read_at(0, 3) == b"ID3"
            return Content(_modality(name), name, 0 if known_tag else tags)
    if suffix == ".txt" and _is_text(read_at(0, -1)):
        return Content("text", "txt")
    other = _of_other_packages(head, suffix)
    if other is not None or is_refused(head):
        return other
    data = data or read_content(0, STREAM_BYTES)
    whole = len(data) < STREAM_BYTES
    stream = video_behind_junk(data, whole=whole) or sound_behind_junk(data, whole=whole)
    return stream and Content(_modality(stream[0]), stream[0], tags + stream[1])


def _tags_bytes(read_at: ReadAt) -> int:
    """Return how long the tags are that a file begins with, of ID3 or of APE."""
    start = 0
    for _ in range(MOST_TAGS):
        start += _tag_bytes(read_at(start, 16))
    return start


def _tag_bytes(head: bytes) -> int:
    if head[:3] == b"ID3" and len(head) >= 10:
        return id3_bytes(head)
    if head[:8] == b"APETAGEX" and len(head) >= 16:
        return 32 + int.from_bytes(head[12:16], "little")
    return 0


def _modality(name: str) -> Modality:
    return "audio" if name in SOUNDS else "video" if name in VIDEOS else "image"


def _of_other_packages(head: bytes, suffix: str) -> Content | None:
    for kind in extra_kinds():
        named = suffix in kind.suffixes
        if head and (head.startswith(kind.magic) if kind.magic else named):
            return Content(kind.name, suffix.removeprefix("."))
    return None


def _by_magic(head: bytes) -> tuple[Modality, str] | None:
    for offset, magic, modality, name in MAGIC:
        if head[offset : offset + len(magic)] != magic:
            continue
        if offset == 8 and head[:4] not in CHUNKED:
            continue
        return modality, name
    return None


def _by_structure(head: bytes, read_at: ReadAt) -> tuple[Modality, str] | None:
    name = iso_format(read_at) or ogg_format(read_at) or matroska_format(head)
    if name is not None:
        return _modality(name), name
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n":
        rest = head[3:64].lstrip()
        if rest[:1].isdigit() or rest[:1] == b"#":
            return "image", "ppm"
    if head[:4] == b"\0\0\1\0" and _is_icon(head):
        return "image", "ico"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "image", "bmp"
    if head[:4] == b"MAC " and head[5:6] == b"\x0f":  # a version from 3.84 on, in thousandths
        return "audio", "ape"
    if head[:3] == b"MP+" and head[3:4] and head[3] & 15 == 7:
        return "audio", "musepack"
    if head[:4] == b"FRM8" and head[12:16] == b"DSD ":
        return "audio", "dff"
    return None


def _is_icon(head: bytes) -> bool:
    """Return whether the first entry of a Windows icon is one: 16 bytes, its picture behind all."""
    count = int.from_bytes(head[4:6], "little")
    behind = int.from_bytes(head[18:22], "little") >= 6 + 16 * count
    return 0 < count <= 256 and len(head) >= 22 and head[9] == 0 and behind


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False
