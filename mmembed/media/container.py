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
from mmembed.media.formats import DEMUXERS
from mmembed.media.refused_formats import refusal

MOST_STRETCH = 4.0  # of a pixel's width by its height, or the other way round
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


def square_size(stream: Any) -> tuple[int, int]:
    """Return width and height of a stream's pictures with pixels made square, none of them fewer.

    Shapes of pixels that no camera or disc has are not believed.
    """
    width, height = stream.codec_context.width, stream.codec_context.height
    shape = float(stream.sample_aspect_ratio or 1)
    if not 1 / MOST_STRETCH <= shape <= MOST_STRETCH:
        return width, height
    return max(width, round(width * shape)), max(height, round(height / shape))
