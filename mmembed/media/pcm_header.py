"""Headers of uncompressed sound (WAV, AIFF): the length they declare, whatever of it is there."""

from __future__ import annotations

from typing import Literal

from mmembed.media.file import MediaFile

MOST_SAMPLES = 1 << 40  # a header that says more does not know
STREAMED_BYTES = 0x7FFFF000  # WAV lengths from here on mean "written before the end was known"


def declared_pcm_seconds(file: MediaFile, kind: str, sample_rate: int) -> float | None:
    """Return the length that the headers of uncompressed sound declare.

    Args:
        file: the sound.
        kind: ``wav`` or ``aiff``; others declare nothing here.
        sample_rate: in Hz.

    Returns:
        seconds; None if the length was not known when the headers were written.
    """
    if kind not in ("wav", "aiff"):
        return None
    order: Literal["little", "big"] = "little" if kind == "wav" else "big"
    offset, bytes_a_second = 12, 0
    while len(head := file.read_at(offset, 24, stage="decode")) >= 8:
        size = int.from_bytes(head[4:8], order)
        if head[:4] == b"COMM":
            return int.from_bytes(head[10:14], "big") / sample_rate or None
        if head[:4] == b"fmt ":
            bytes_a_second = int.from_bytes(head[16:20], "little")
        if head[:4] == b"data":
            streamed = size == 0 or size >= STREAMED_BYTES or not bytes_a_second
            return None if streamed else size / bytes_a_second
        offset += 8 + size + size % 2
    return None


def clearly_short(end_seconds: float, declared_seconds: float | None) -> bool:
    """Return whether sound ends clearly before its declared end (headers are inexact)."""
    if declared_seconds is None:
        return False
    return declared_seconds - end_seconds > max(0.25, 0.02 * declared_seconds)
