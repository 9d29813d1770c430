"""Kind, size and length of a media file, from its headers alone; nothing is decoded.

A file's name is not trusted (text excepted, which has no magic bytes): an MP3 named ``.jpg`` is
audio, an MP4 without pictures is audio, cover art makes no video, an animated GIF is an image.
This module knows nothing of what is done with a file.
"""

from __future__ import annotations

from typing import Any

import soundfile

from mmembed.errors import MediaError
from mmembed.media.container import (
    audio_stream,
    declared_seconds,
    open_container,
    video_stream,
)
from mmembed.media.file import MediaFile, MediaInfo, Source, opened
from mmembed.media.formats import BY_SOUNDFILE
from mmembed.media.image import open_image
from mmembed.media.pcm_header import MOST_SAMPLES, clearly_short, declared_pcm_seconds
from mmembed.media.refused_formats import refusal

__all__ = ["MediaInfo", "Source", "probe"]


def probe(source: Source) -> MediaInfo:
    """Tell what a file is from its content, reading no more than its headers.

    A file that is open is looked at once, however often it is asked.

    Args:
        source: a path, a URL, the encoded file as ``bytes``, or a file that is open.

    Raises:
        MediaError: (stage ``probe``) no such file, a folder, empty, of no known format, or with
            headers that can't be read.
    """
    with opened(source) as file:
        if file.info is None:
            file.info = _probe(file)
        return file.info


def _probe(file: MediaFile) -> MediaInfo:
    if file.sniffed is None:
        if not file.read_at(0, 1):
            raise MediaError(file.name, "probe", "is empty. Copy it again, or leave it out.")
        raise MediaError(file.name, "probe", refusal(file.read_at))
    modality, kind = file.sniffed
    if modality == "text":
        return MediaInfo("text", kind, text=file.read_at(0, -1).decode("utf-8-sig"))
    if modality == "image":
        return _probe_image(file, kind)
    if modality not in ("audio", "video"):
        return MediaInfo(modality, kind)
    if kind in BY_SOUNDFILE and (info := _probe_sound(file, kind)):
        return info
    return _probe_container(file, kind)


def _probe_image(file: MediaFile, kind: str) -> MediaInfo:
    with open_image(file, "probe") as picture:
        return MediaInfo("image", kind, width=picture.width, height=picture.height)


def _probe_sound(file: MediaFile, kind: str) -> MediaInfo | None:
    try:
        with soundfile.SoundFile(file.descriptor_or_stream(), closefd=False) as sound:
            rate, channels, frames = sound.samplerate, sound.channels, sound.frames
    except (soundfile.LibsndfileError, OSError):
        return None
    if not 0 < frames < MOST_SAMPLES:  # a stream, whose length was never filled in
        return None
    seconds = frames / rate
    declared = declared_pcm_seconds(file, kind, rate)
    if declared is not None and clearly_short(seconds, declared):
        seconds = declared  # a file that stops early: whoever decodes it shall notice
    return MediaInfo(
        "audio",
        kind,
        duration_seconds=seconds,
        sample_rate=rate,
        channels=channels,
        has_audio=True,
    )


def _probe_container(file: MediaFile, kind: str) -> MediaInfo:
    with open_container(file, "probe") as container:
        sound, pictures = audio_stream(container), video_stream(container)
        if sound is None and pictures is None:
            message = "holds neither sound nor pictures that can be decoded. Re-encode it."
            raise MediaError(file.name, "probe", message, container.format.name)
        width = height = fps = None
        if pictures is not None:
            width, height = pictures.codec_context.width, pictures.codec_context.height
            if container.format.name.startswith("mov") and _shown_sideways(file):
                width, height = height, width
            fps = float(pictures.average_rate) if pictures.average_rate else None
        return MediaInfo(
            "audio" if pictures is None else "video",
            kind,
            width=width,
            height=height,
            duration_seconds=_seconds(container, pictures or sound, file),
            fps=fps,
            sample_rate=sound.codec_context.sample_rate if sound else None,
            channels=sound.codec_context.channels if sound else None,
            has_audio=sound is not None,
            sound_seconds=_sound_seconds(container, pictures, sound, file),
        )


def _seconds(container: Any, stream: Any, file: MediaFile) -> float | None:
    """Return the declared length, else FFmpeg's guess, else the end of the last packet."""
    said = declared_seconds(container, stream, file)
    if said is not None:
        return said
    if container.duration and container.duration > 0:
        return container.duration / 1e6
    first, end = None, 0
    for packet in container.demux(stream):
        if packet.pts is not None:
            first = packet.pts if first is None else min(first, packet.pts)
            end = max(end, packet.pts + (packet.duration or 0))
    return None if first is None else float((end - first) * stream.time_base)


def _sound_seconds(container: Any, pictures: Any, sound: Any, file: MediaFile) -> float | None:
    """Return when the sound track ends, from the first picture on; None if it is not said."""
    said = None if pictures is None or sound is None else declared_seconds(container, sound, file)
    if said is None:
        return None
    first, begin = ((s.start_time or 0) * s.time_base for s in (pictures, sound))
    return max(0.0, said + float(begin - first))


def _shown_sideways(file: MediaFile) -> bool:
    """Return whether the first picture track of an MP4 or MOV is turned by 90 degrees.

    PyAV does not show the display matrix of a stream, so it is read from the track header
    (``tkhd``, ISO 14496-12 §8.3.2).
    """
    offset, moov = 0, b""
    while len(head := file.read_at(offset, 16)) >= 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if kind == b"moov":
            moov = file.read_at(offset, size or 1 << 30)
            break
        if size < 8:
            break
        offset += size
    at = moov.find(b"tkhd")
    while at >= 0:
        body = at + 4 + (52 if moov[at + 4 : at + 5] == b"\1" else 40)
        fields = [int.from_bytes(moov[i : i + 4], "big") for i in range(body, body + 44, 4)]
        if fields[9] and fields[10]:  # width and height: sound has none
            return fields[0] == 0 and fields[1] != 0
        at = moov.find(b"tkhd", at + 4)
    return False
