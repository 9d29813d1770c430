"""Headers of containers that hold several kinds: ISO base media (MP4 …), Ogg, Matroska.

They are walked as far as it takes to tell the kind, and nothing of their tracks is read.
"""

from __future__ import annotations

from collections.abc import Callable

ReadAt = Callable[[int, int], bytes]
"""From an offset and a count to bytes of a file, all that follow if the count is negative."""

PICTURE_BRANDS = {  # of ISO 23008-12 (HEIF) and of AVIF
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "heic"),
    **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs"), "heic"),
}
ANY_PICTURE = {b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"}  # of any codec; other brands tell which
BRANDS = {  # the rest is mp4
    **dict.fromkeys((b"M4A ", b"M4P ", b"F4A "), "m4a"),
    **dict.fromkeys((b"M4B ", b"F4B "), "m4b"),
    **dict.fromkeys((b"qt  ", b"mqt "), "mov"),
    **dict.fromkeys((b"F4V ", b"f4v ", b"F4P "), "f4v"),
    **dict.fromkeys((b"mjp2", b"mj2s"), "mj2"),
    **dict.fromkeys((b"kddi", b"KDDI"), "3g2"),
}
OTHER_BRANDS = {b"aax ", b"aaxc", b"crx "}  # Audible's books, a camera's raw data
PADDING = {b"free", b"skip", b"wide", b"pnot", b"jP  "}  # may stand before the first box that tells
QUICKTIME = {b"moov", b"mdat"}
MOST_BOXES = 16
MOST_BYTES = 1 << 26  # of a box that is read
OGG_VIDEO = (b"\x80theora", b"\1video", b"BBCD\0", b"OVP80")
OGG_SOUND = {
    b"\1vorbis": "ogg",
    b"OpusHead": "opus",
    b"\x7fFLAC": "ogg",
    b"Speex   ": "ogg",
    b"\1audio": "ogg",
}


def iso_format(read_at: ReadAt) -> str | None:
    """Return the format of an ISO base media file by its brands (ISO 14496-12 §4.3), or None.

    The major brand wins; one that leaves the codec open asks the compatible ones. QuickTime files
    of old have none.
    """
    at = 0
    for _ in range(MOST_BOXES):
        head = read_at(at, 16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind == b"ftyp":
            return _by_brands(read_at(at, min(max(size, 12), 4096)))
        if kind not in PADDING | QUICKTIME:
            return None
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        behind = read_at(at + size, 8)[4:8] if size >= 8 else b""
        if kind in QUICKTIME:  # a text may hold such a word, but no size of a box before it
            whole = behind in PADDING | QUICKTIME or (not behind and head[0] < 0x20)
            return "mov" if whole else None
        at += size
        if not behind:
            return None
    return None


def movie_box(read_at: ReadAt) -> bytes:
    """Return the box ``moov`` of an ISO base media file, which describes its tracks; or nothing."""
    at = 0
    while len(head := read_at(at, 16)) >= 8:
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if head[4:8] == b"moov":
            return read_at(at, min(size or MOST_BYTES, MOST_BYTES))
        if size < 8:
            break
        at += size
    return b""


def _by_brands(box: bytes) -> str | None:
    major = box[8:12]
    compatible = [box[at : at + 4] for at in range(16, len(box) - 3, 4)]
    if major in OTHER_BRANDS:
        return None
    if major in PICTURE_BRANDS:
        return PICTURE_BRANDS[major]
    if major in ANY_PICTURE:
        named = [PICTURE_BRANDS[brand] for brand in compatible if brand in PICTURE_BRANDS]
        return named[0] if named else "heic"
    if major[:2] == b"jp":
        return "jpeg2000"
    if major[:2] == b"3g":
        return "3g2" if major[:3] == b"3g2" else "3gp"
    return BRANDS.get(major, "mp4")


def ogg_format(read_at: ReadAt) -> str | None:
    """Return the format of an Ogg file by all of its streams (RFC 3533), None if it is no Ogg.

    Every stream begins with a page that says so, and those pages come first.
    """
    at = 0
    names: list[str] = []
    while (page := read_at(at, 512))[:4] == b"OggS" and len(page) > 27 and page[5] & 2:
        packet = page[27 + page[26] :]
        if packet.startswith(OGG_VIDEO):
            return "ogv"
        names += [name for magic, name in OGG_SOUND.items() if packet.startswith(magic)]
        at += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return names[0] if names else "ogg" if at or page[:4] == b"OggS" else None


def matroska_format(head: bytes) -> str | None:
    """Return ``webm`` or ``mkv`` by the document type that a file declares (RFC 8794), or None."""
    if head[:4] != b"\x1a\x45\xdf\xa3":
        return None
    at = head.find(b"\x42\x82", 4, 256)
    if at < 0 or at + 3 > len(head):
        return "mkv"
    size = head[at + 2] & 0x7F
    return "webm" if head[at + 3 : at + 3 + size].rstrip(b"\0") == b"webm" else "mkv"
