"""The end of a track that headers declare, where what they say is no guess of FFmpeg's."""

from __future__ import annotations

import math
from typing import Any

from mmembed.media.file import MediaFile
from mmembed.media.formats import HEAD_BYTES, id3_bytes
from mmembed.media.pcm_header import declared_share

CLOSE_SECONDS = 0.05  # what ends so near the end of a file reaches to it
OF_THE_FILE = ("matroska", "flv", "asf")  # containers that declare when all of the file ends


def clearly_short(end_seconds: float, declared_seconds: float | None) -> bool:
    """Return whether media end clearly before their declared end (headers are inexact)."""
    if declared_seconds is None:
        return False
    return declared_seconds - end_seconds > max(0.25, 0.02 * declared_seconds)


def declared_end_seconds(
    container: Any, stream: Any, file: MediaFile, begin_and_end: tuple[float, float], last: bool
) -> float | None:
    """Return when a track ends by its headers, on the container's clock; None if they don't say.

    A length that FFmpeg guesses from a bit rate or from the packets counts as not said.

    Args:
        container: the open file.
        stream: the track.
        file: the file.
        begin_and_end: seconds of the track's packets, on the container's clock.
        last: whether no other track ends later: what is said of the whole file is for this one.
    """
    name = container.format.name.partition(",")[0]
    begin, end = begin_and_end
    if name == "avi":
        length = _avi_seconds(file.read_at(0, 56)) if stream.type == "video" else 0.0
        return begin + length if length else None
    if name == "mov":
        length = stream.duration and float(stream.duration * stream.time_base)
        return begin + length if length and length > 0 else None
    if name in ("mp3", "flac"):
        samples = (_xing_samples if name == "mp3" else _flac_samples)(_behind_tags(file))
        return begin + samples / stream.codec_context.sample_rate if samples else None
    if name in ("wav", "w64", "aiff", "caf", "au"):
        share = declared_share(file)
        return begin + (end - begin) * share if share > 1 else None
    if name not in OF_THE_FILE:
        return None
    own = _clock_seconds(stream.metadata.get("DURATION", ""))
    if own is not None:
        return own
    said = name != "flv" or b"\0\x08duration\0" in file.read_at(file.begin_bytes, HEAD_BYTES)
    return container.duration / 1e6 if last and said and container.duration else None


def _avi_seconds(head: bytes) -> float:
    """Return how long the pictures of an AVI are by its main header; 0 if it doesn't say."""
    microseconds, frames = (int.from_bytes(head[at : at + 4], "little") for at in (32, 48))
    return microseconds * frames / 1e6 if head[24:28] == b"avih" else 0.0


def _behind_tags(file: MediaFile) -> bytes:
    skipped = file.begin_bytes
    head = file.read_at(skipped, HEAD_BYTES)
    while head[:3] == b"ID3" and len(head) >= 10:
        skipped += id3_bytes(head)
        head = file.read_at(skipped, HEAD_BYTES)
    return head


def _xing_samples(head: bytes) -> int:
    """Return how many samples an MP3 has by the Xing or VBRI header in its first frame."""
    frames, at = 0, max(head.find(b"Xing", 0, 512), head.find(b"Info", 0, 512))
    if at >= 0 and head[at + 7] & 1:
        frames = int.from_bytes(head[at + 8 : at + 12], "big")
    elif (at := head.find(b"VBRI", 0, 512)) >= 0:
        frames = int.from_bytes(head[at + 14 : at + 18], "big")
    is_version_1 = len(head) > 1 and head[1] & 0x18 == 0x18
    return frames * (1152 if is_version_1 else 576)


def _flac_samples(head: bytes) -> int:
    """Return how many samples STREAMINFO says there are; 0 if it doesn't."""
    return int.from_bytes(head[21:26], "big") & (1 << 36) - 1 if len(head) >= 26 else 0


def _clock_seconds(text: str) -> float | None:
    try:
        hours, minutes, seconds = text.split(":")
        value = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
    return value if value > 0 and math.isfinite(value) else None
