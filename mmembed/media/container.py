"""Opens a container with FFmpeg, in the format that its content says, and reads its headers.

It knows nothing of samples or frames: :mod:`mmembed.media.audio` and
:mod:`mmembed.media.video` decode them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av

from mmembed.errors import MediaError, Stage
from mmembed.media.encryption import encryption
from mmembed.media.file import MediaFile
from mmembed.media.formats import DEMUXERS, HEAD_BYTES, id3_bytes
from mmembed.media.refused_formats import refusal

ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: cover art, not a video


@contextmanager
def open_container(file: MediaFile, stage: Stage) -> Iterator[Any]:
    """Open a sound or video file as a PyAV input container, its format forced to what it is.

    FFmpeg gets a file that is open, never a name: no playlist or URL is followed.

    Raises:
        MediaError: not a container that is known, or FFmpeg refuses it.
    """
    sniffed = file.sniffed
    if sniffed is None:
        raise MediaError(file.name, stage, refusal(file.read_at))
    if sniffed[1] not in DEMUXERS:
        message = f"is {sniffed[1]}, not sound or video. Check the file, or leave it out."
        raise MediaError(file.name, stage, message)
    demuxer = DEMUXERS[sniffed[1]]
    content = file.descriptor_or_stream()
    options = {"fd": str(content)} if isinstance(content, int) else {}
    url = "fd:" if options else content
    try:
        container = av.open(url, format=demuxer, options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        message = f"can't be opened, {_reason(error)}. It may be cut short; copy or re-encode it."
        raise MediaError(file.name, stage, message, demuxer) from None
    with container:
        if by := encryption(container, file.read_at):
            message = f"is encrypted by {by}. Take a copy that is not."
            raise MediaError(file.name, stage, message, demuxer)
        yield container


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def video_stream(container: Any) -> Any | None:
    """Return the first video stream that is not cover art, None if there is none."""
    for stream in container.streams.video:
        if not int(stream.disposition) & ATTACHED_PICTURE and stream.codec_context is not None:
            return stream
    return None


def audio_stream(container: Any) -> Any | None:
    """Return the first sound stream that a decoder exists for, None if there is none."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def declared_seconds(
    container: Any, stream: Any, file: MediaFile, begin_seconds: float | None = None
) -> float | None:
    """Return how long the headers say a stream is, in seconds; None if they do not say.

    A length that FFmpeg guesses from a bit rate (raw AAC, MP3 without a Xing header, MPEG
    streams) counts as not said. Some headers tell the end, not the length: ``begin_seconds`` is
    the container's time of the first frame, where that has been decoded.
    """
    if container.format.name in ("aac", "mpegts", "mpeg"):
        return None
    if container.format.name == "mp3" and not has_xing_header(file):
        return None
    if stream.duration is not None and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    end = _clock_seconds(stream.metadata.get("DURATION", ""))
    if end is None and len(container.streams) == 1 and container.duration:
        end = container.duration / 1e6
    if not end:
        return None
    if begin_seconds is None:
        begin_seconds = float((stream.start_time or 0) * stream.time_base)
    return max(0.0, end - max(0.0, begin_seconds))


def has_xing_header(file: MediaFile) -> bool:
    """Return whether an MP3 says how many frames it has."""
    head = file.read_at(0, HEAD_BYTES)
    if head[:3] == b"ID3":
        head = file.read_at(id3_bytes(head), HEAD_BYTES)
    return any(mark in head[:512] for mark in (b"Xing", b"Info", b"VBRI"))


def _clock_seconds(text: str) -> float | None:
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
