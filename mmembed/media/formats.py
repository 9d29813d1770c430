"""Formats: the first bytes that tell each, whatever a file is called, and what reads it.

No decoder is loaded. What lies inside a container (an MP4 may hold sound alone) is for
:mod:`mmembed.media.probe` to tell.
"""

from __future__ import annotations

from collections.abc import Callable

from mmembed.modality import Modality, extra_kinds

ReadAt = Callable[[int, int], bytes]
"""From an offset and a count to bytes of a file, all that follow if the count is negative."""

HEAD_BYTES = 4096

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
    (8, b"AVI ", "video", "avi"),
    (0, b"fLaC", "audio", "flac"),
    (8, b"AIFF", "audio", "aiff"),
    (8, b"AIFC", "audio", "aiff"),
    (28, b"\x01vorbis", "audio", "ogg"),
    (28, b"OpusHead", "audio", "opus"),
    (28, b"\x80theora", "video", "ogv"),
    (28, b"\x7fFLAC", "audio", "ogg"),
    (0, b"FLV\x01", "video", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video", "asf"),
    (0, b"\x00\x00\x01\xba", "video", "mpeg"),
)
DEMUXERS = {  # FFmpeg's name of each container
    "wav": "wav",
    "avi": "avi",
    "flac": "flac",
    "aiff": "aiff",
    "ogg": "ogg",
    "opus": "ogg",
    "ogv": "ogg",
    "flv": "flv",
    "asf": "asf",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "mp4": "mov",
    "m4a": "mov",
    "mov": "mov",
    "webm": "matroska",
    "mkv": "matroska",
    "mp3": "mp3",
    "aac": "aac",
}
BY_SOUNDFILE = frozenset({"wav", "flac", "ogg", "aiff"})  # libsndfile reads these, and faster
CHUNKED = {b"RIFF", b"RF64", b"BW64", b"FORM"}  # magic at 8 counts only inside one of these
BRANDS = {b"M4A ": "m4a", b"M4B ": "m4a", b"qt  ": "mov"}  # the rest is mp4
PICTURE_BRANDS = {  # of ISO 23008-12 (HEIF) and of AVIF
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "heic"),
    **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs"), "heic"),
}
ANY_PICTURE = {b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"}  # of any codec; other brands tell which
OLD_QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
MP3_KBPS = {  # by version is 1, layer; ISO 11172-3 and 13818-3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def sniff(read_at: ReadAt, suffix: str) -> tuple[Modality, str] | None:
    """Return the likely modality and the format (``("image", "jpeg")``), None if unknown.

    Args:
        read_at: reads the file.
        suffix: the end of its name, in lower case: a text has no magic bytes, and all of it is
            read then.
    """
    head = read_at(0, HEAD_BYTES)
    skipped = 0
    while head[:3] == b"ID3" and len(head) >= 10:  # a tag may stand before MP3, AAC or FLAC
        skipped += id3_bytes(head)
        head = read_at(skipped, HEAD_BYTES)
    known = _by_magic(head) or _by_structure(head)
    if known is None and skipped:
        return "audio", "mp3"
    if known is None and head and suffix == ".txt" and _is_text(read_at(0, -1)):
        return "text", "txt"
    return known or _of_other_packages(head, suffix)


def _of_other_packages(head: bytes, suffix: str) -> tuple[Modality, str] | None:
    for kind in extra_kinds():
        named = suffix in kind.suffixes
        if head and (head.startswith(kind.magic) if kind.magic else named):
            return kind.name, suffix.removeprefix(".")
    return None


def id3_bytes(head: bytes) -> int:
    """Return how long an ID3v2 tag is that a file begins with, its header and footer included."""
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _by_magic(head: bytes) -> tuple[Modality, str] | None:
    for offset, magic, modality, name in MAGIC:
        if head[offset : offset + len(magic)] != magic:
            continue
        if (offset == 8 and head[:4] not in CHUNKED) or (offset == 28 and head[:4] != b"OggS"):
            continue
        return modality, name
    return None


def _by_structure(head: bytes) -> tuple[Modality, str] | None:
    if head[4:8] == b"ftyp":
        return _by_brands(head)
    if head[4:8] in OLD_QUICKTIME:
        return "video", "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video", "webm" if b"webm" in head[:64] else "mkv"
    if head[:4] == b"OggS":
        return "audio", "ogg"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n":
        rest = head[3:64].lstrip()
        if rest[:1].isdigit() or rest[:1] == b"#":
            return "image", "ppm"
    if head[:4] == b"\0\0\1\0" and _is_icon(head):
        return "image", "ico"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "image", "bmp"
    if b"GGG" in (head[0:377:188], head[4:389:192]):  # sync bytes, Blu-ray has 4 bytes between
        return "video", "mpegts"
    frame = _mpeg_audio_frame_bytes(head)
    if frame and (_mpeg_audio_frame_bytes(head[frame:]) or len(head) <= frame):
        return "audio", "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None


def _by_brands(head: bytes) -> tuple[Modality, str]:
    """Return what the brands of an ISO base media file say (ISO 14496-12 §4.3).

    The major brand wins; one that leaves the codec open asks the compatible ones.
    """
    size = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    compatible = [head[at : at + 4] for at in range(16, size - 3, 4)]
    if major in PICTURE_BRANDS:
        return "image", PICTURE_BRANDS[major]
    if major in ANY_PICTURE:
        named = [PICTURE_BRANDS[brand] for brand in compatible if brand in PICTURE_BRANDS]
        return "image", named[0] if named else "heic"
    name = BRANDS.get(major, "mp4")
    return "audio" if name == "m4a" else "video", name


def _is_icon(head: bytes) -> bool:
    """Return whether the first entry of a Windows icon is one: 16 bytes, its picture behind all."""
    count = int.from_bytes(head[4:6], "little")
    behind = int.from_bytes(head[18:22], "little") >= 6 + 16 * count
    return 0 < count <= 256 and len(head) >= 22 and head[9] == 0 and behind


def _mpeg_audio_frame_bytes(head: bytes) -> int:
    """Return the size of the MPEG audio or ADTS frame that ``head`` begins with, 0 if none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    if head[1] & 0xF6 == 0xF0:  # ADTS: layer is 0
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    hertz = (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    bits = MP3_KBPS[version == 3, layer][bitrate] * 1000
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    samples = 72 if layer == 3 and version != 3 else 144
    return samples * bits // hertz + padding


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False
