"""What a file is by its first bytes, whatever its name says; no decoder is loaded.

This module knows nothing of what lies inside a container (an MP4 may hold sound alone):
:mod:`mmembed.media.probe` opens the file and tells.
"""

from __future__ import annotations

import io
import os
from typing import IO

from mmembed.errors import MediaError, Stage
from mmembed.media.remote_file import RemoteFile
from mmembed.modality import Modality
from mmembed.paths import Place, RemotePath

Source = str | os.PathLike[str] | bytes | RemoteFile
"""A path, the encoded file in memory, or a file at a URL."""

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
CONTAINERS = {b"RIFF", b"RF64", b"BW64", b"FORM"}  # magic at 8 counts only inside one of these
BRANDS = {b"M4A ": "m4a", b"M4B ": "m4a", b"qt  ": "mov", b"avif": "avif", b"avis": "avif"}
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


def opened(location: str | Place) -> Source:
    """Return what decoders read: a path as it is, a URL so that it is asked as seldom as can be.

    Raises:
        OSError: there is no such file at the URL, or it can't be read.
    """
    return RemoteFile(location) if isinstance(location, RemotePath) else location


def source_name(source: Source) -> str:
    """Return how an error names a source: its path or URL, or ``"<bytes>"``."""
    if isinstance(source, RemoteFile):
        return source.name
    return "<bytes>" if isinstance(source, bytes) else os.fspath(source)


class _Memory(io.BytesIO):
    """Bytes as a file; a seek before the beginning, which broken headers cause, goes there."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return super().seek(max(0, offset) if whence == os.SEEK_SET else offset, whence)


def path_or_file(source: Source) -> str | IO[bytes]:
    """Return what a decoder can open: the path, or a file object."""
    if isinstance(source, RemoteFile):
        return source.file()
    return _Memory(source) if isinstance(source, bytes) else os.fspath(source)


def read_at(source: Source, offset: int, count: int, *, stage: Stage = "probe") -> bytes:
    """Return up to ``count`` bytes of a source from ``offset`` on.

    Raises:
        MediaError: no such file, a folder, or not readable.
    """
    if isinstance(source, bytes):
        return source[offset : offset + count]
    try:
        if isinstance(source, RemoteFile):
            return source.read_at(offset, count)
        with open(source, "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(count)
    except FileNotFoundError:
        raise MediaError(source_name(source), stage, "no such file. Check the path.") from None
    except IsADirectoryError:
        message = "is a folder, not a file. Name a file in it."
        raise MediaError(source_name(source), stage, message) from None
    except (OSError, ValueError) as error:
        raise MediaError(source_name(source), stage, f"can't be read: {error}") from None


def sniff(source: Source) -> tuple[Modality, str] | None:
    """Return the likely modality and the format (``("image", "jpeg")``), None if unknown.

    Only magic bytes are read (and, for text, the whole of a file that ends in ``.txt``). A
    container that may hold either (MP4, WebM, MKV, AVI …) is taken for a video here.

    Raises:
        MediaError: no such file, a folder, or not readable.
    """
    head = read_at(source, 0, HEAD_BYTES)
    skipped = 0
    while head[:3] == b"ID3" and len(head) >= 10:  # a tag may stand before MP3, AAC or FLAC
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        skipped += 10 + size + (10 if head[5] & 0x10 else 0)
        head = read_at(source, skipped, HEAD_BYTES)
    found = _by_magic(head) or _by_structure(head)
    if found is None and skipped:
        return "audio", "mp3"
    if found is None and head and _is_text(source):
        return "text", "txt"
    return found


def _by_magic(head: bytes) -> tuple[Modality, str] | None:
    for offset, magic, modality, name in MAGIC:
        if head[offset : offset + len(magic)] != magic:
            continue
        if (offset == 8 and head[:4] not in CONTAINERS) or (offset == 28 and head[:4] != b"OggS"):
            continue
        return modality, name
    return None


def _by_structure(head: bytes) -> tuple[Modality, str] | None:
    if head[4:8] == b"ftyp":
        name = BRANDS.get(head[8:12], "mp4")
        return {"m4a": "audio", "avif": "image"}.get(name, "video"), name  # type: ignore[return-value]
    if head[4:8] in OLD_QUICKTIME:
        return "video", "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video", "webm" if b"webm" in head[:64] else "mkv"
    if head[:4] == b"OggS":
        return "audio", "ogg"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "image", "bmp"
    if b"GGG" in (head[0:377:188], head[4:389:192]):  # sync bytes, Blu-ray has 4 bytes between
        return "video", "mpegts"
    frame = _mpeg_audio_frame_bytes(head)
    if frame and (_mpeg_audio_frame_bytes(head[frame:]) or len(head) <= frame):
        return "audio", "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None


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


def _is_text(source: Source) -> bool:
    if isinstance(source, bytes) or not source_name(source).lower().endswith(".txt"):
        return False
    try:
        return b"\0" not in read_at(source, 0, -1).decode("utf-8").encode()
    except UnicodeDecodeError:
        return False
