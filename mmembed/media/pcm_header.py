"""Headers of sound in chunks (WAV, RF64, W64, AIFF, CAF, AU): how much sound they declare."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mmembed.media.file import MediaFile

MOST_SAMPLES = 1 << 40  # a header that says more does not know
STREAMED_BYTES = 0x7FFFF000  # 32-bit lengths from here on mean "written before the end was known"
W64_CHUNK = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
W64_HEADER_BYTES = 40


class _Walk(NamedTuple):
    """The chunks of a format: where the first begins, and how each says its length."""

    first: int
    name_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    data: bytes
    even_to: int


WALKS = {
    b"RIFF": _Walk(12, 4, 4, "little", b"data", 2),
    b"RF64": _Walk(12, 4, 4, "little", b"data", 2),
    b"BW64": _Walk(12, 4, 4, "little", b"data", 2),
    b"RIFX": _Walk(12, 4, 4, "big", b"data", 2),
    b"FORM": _Walk(12, 4, 4, "big", b"SSND", 2),
    b"caff": _Walk(8, 4, 8, "big", b"data", 1),
    b"riff": _Walk(W64_HEADER_BYTES, 16, 8, "little", W64_CHUNK, 8),
}


def declared_share(file: MediaFile) -> float:
    """Return how much sound a file declares, as a multiple of what there is of it.

    1 says that all is there, or that the length was not known when the headers were written; 2
    that half of it is missing.
    """
    begin = file.begin_bytes
    head = file.read_at(begin, 24, stage="decode")
    if head[:4] == b".snd":
        start, size = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
        return _share(file, begin + start, size) if size < STREAMED_BYTES else 1.0
    walk = WALKS.get(head[:4])
    return 1.0 if walk is None else _share_of_chunks(file, walk, begin + walk.first)


def _share_of_chunks(file: MediaFile, walk: _Walk, offset: int) -> float:
    long_size = 0
    header = walk.name_bytes + walk.size_bytes
    while len(head := file.read_at(offset, header + 24, stage="decode")) >= header:
        size = int.from_bytes(head[walk.name_bytes : header], walk.order)
        if head[:4] == b"ds64":  # the sizes of 64 bits of RF64: of the file, then of the sound
            long_size = int.from_bytes(head[16:24], "little")
        size -= header if walk.name_bytes == 16 else 0  # W64 counts the header of a chunk too
        if head[: walk.name_bytes] == walk.data:
            known = 0 < size < (STREAMED_BYTES if walk.size_bytes == 4 else 1 << 62)
            return _share(file, offset + header, size if known else long_size)
        if size < 0:
            break
        offset += header + size + -size % walk.even_to
    return 1.0


def _share(file: MediaFile, start: int, size: int) -> float:
    present = file.size_bytes - start
    return size / present if 0 < present < size else 1.0
