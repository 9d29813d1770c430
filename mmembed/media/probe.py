"""Kind, size and length of a media file: sizes by its headers, lengths by its packets.

A file's name is not trusted (text excepted, which has no magic bytes): an MP3 named ``.jpg`` is
audio, an MP4 without pictures is audio, cover art makes no video, an animated GIF is an image.
This module knows nothing of what is done with a file.
"""

from __future__ import annotations

from mmembed.errors import MediaError, TruncatedError
from mmembed.media.container import open_container, square_size
from mmembed.media.declared_length import CLOSE_SECONDS, clearly_short
from mmembed.media.file import MediaFile, MediaInfo, Source, opened
from mmembed.media.image import open_image
from mmembed.media.packet_index import packet_index
from mmembed.media.refused_formats import refusal
from mmembed.media.sndfile_sound import sndfile_reader

__all__ = ["MediaInfo", "Source", "check_truncated", "probe"]


def probe(source: Source) -> MediaInfo:
    """Tell what a file is from its content; no more is decoded than the first frame of each track.

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


def check_truncated(name: str, info: MediaInfo, until_seconds: float) -> None:
    """Refuse what reaches to the end of a file that clearly stops before its declared end.

    Raises:
        TruncatedError: it does.
    """
    end, declared = info.duration_seconds or 0.0, info.declared_seconds
    if declared is not None and until_seconds > end - CLOSE_SECONDS:
        message = (
            f"stops after {end:.1f} s of {declared:.1f} s. Re-encode it, or allow truncated files."
        )
        raise TruncatedError(name, message, "", end)


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
    return _probe_sound(file, kind) or _probe_container(file, kind)


def _probe_image(file: MediaFile, kind: str) -> MediaInfo:
    with open_image(file, "probe") as picture:
        return MediaInfo("image", kind, width=picture.width, height=picture.height)


def _probe_sound(file: MediaFile, kind: str) -> MediaInfo | None:
    with sndfile_reader(file) as reader:
        if reader is None:
            return None
        declared, seconds = reader.declared_seconds(), reader.frames / reader.sample_rate
        return MediaInfo(
            "audio",
            kind,
            duration_seconds=seconds,
            declared_seconds=declared if clearly_short(seconds, declared) else None,
            sample_rate=reader.sample_rate,
            channels=reader.channels,
            has_audio=True,
        )


def _probe_container(file: MediaFile, kind: str) -> MediaInfo:
    index = packet_index(file)
    main = index.pictures or index.sound
    assert main is not None
    begin, end = index.span(main)
    heard = index.span(index.sound) if index.sound and index.pictures else (0.0, None)
    width = height = fps = rate = channels = None
    with open_container(file, "probe") as container:
        if index.pictures is not None:
            pictures = container.streams[index.pictures.stream]
            width, height = square_size(pictures)
            if container.format.name.startswith("mov") and _shown_sideways(file):
                width, height = height, width
            fps = float(pictures.average_rate) if pictures.average_rate else None
        if index.sound is not None:
            sound = container.streams[index.sound.stream].codec_context
            rate, channels = sound.sample_rate, sound.channels
    return MediaInfo(
        "audio" if index.pictures is None else "video",
        kind,
        width=width,
        height=height,
        begin_seconds=begin,
        duration_seconds=end,
        declared_seconds=index.missed_end_seconds,
        fps=fps,
        sample_rate=rate,
        channels=channels,
        has_audio=index.sound is not None,
        sound_begin_seconds=heard[0],
        sound_seconds=heard[1],
    )


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
