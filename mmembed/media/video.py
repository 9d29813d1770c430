"""Decodes the frames that a video shows at asked times, upright, decoding no more than needed.

Decoders run on one thread (``thread_type`` SLICE, ``thread_count`` 1): clips are short and
decoding is spread over worker processes, where more threads would only compete, and frame
threads delay the first frame. This module knows nothing of how many frames an encoder wants,
nor of sound.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type

from mmembed.errors import MediaError, TruncatedError
from mmembed.media.declared_length import clearly_short
from mmembed.media.file import MediaFile, Source, opened
from mmembed.media.packet_index import packet_index
from mmembed.media.packet_reader import PacketReader
from mmembed.media.video_frames import FrameReader

ROOM = 2  # frames are scaled down to this times min_side while they are converted


def _without_a_name(kinds: type[Type], value: object) -> Type:
    """Return a kind of side data that PyAV has no name for; it would refuse all of a frame's."""
    unnamed: Any = object.__new__(kinds)
    unnamed._name_, unnamed._value_ = f"UNNAMED_{value}", value
    return unnamed


Type._missing_ = classmethod(_without_a_name)  # type: ignore[method-assign, assignment]


@dataclass(frozen=True)
class Clip:
    """RGB uint8 ``frames (frames, height, width, 3)`` and their ``pts_seconds (frames,)``.

    ``pts_seconds`` (float64) is when each frame began to be shown, counted from the first frame
    or sample of the file, whichever is earlier.
    """

    frames: np.ndarray
    pts_seconds: np.ndarray

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.pts_seconds.shape != self.frames.shape[:1]:
            raise ValueError(
                f"a clip holds frames (frames, height, width, 3) and a time each, got "
                f"{self.frames.shape} and {self.pts_seconds.shape}"
            )


def decode_video(
    source: Source,
    times_seconds: Sequence[float],
    *,
    min_side: int | None = None,
    allow_truncated: bool = False,
) -> Clip:
    """Decode the frames shown at the asked times to RGB uint8 ``(times, height, width, 3)``.

    The frame shown at ``t`` is the last one that begins at or before it; before the first frame
    it is the first, after the end the last. Rotation and mirroring of the display matrix are
    applied, and pixels that are not square are stretched.

    Args:
        source: a path, a URL, the encoded file as ``bytes``, or a file that is open.
        times_seconds: in any order, repeats allowed, counted from the file's first frame or
            sample, whichever is earlier.
        min_side: frames whose shorter side is more than twice this are scaled down to twice
            this (area averaging, the aspect kept).
        allow_truncated: of a file that stops early, take its last frame for what is missing.

    Raises:
        MediaError: (stage ``decode``) not a video, or corrupt.
        TruncatedError: it stops clearly before an asked time that lies within the duration that
            its header declares.
        ValueError: no times, or a time that is not finite.
    """
    with closing(
        decode_clips(source, [times_seconds], min_side=min_side, allow_truncated=allow_truncated)
    ) as clips:
        return next(clips)


def decode_clips(
    source: Source,
    times_seconds: Sequence[Sequence[float]],
    *,
    min_side: int | None = None,
    allow_truncated: bool = False,
) -> Generator[Clip]:
    """Decode clips one after another, each as :func:`decode_video` does it, in one pass.

    Args:
        source: as of :func:`decode_video`.
        times_seconds: the times of each clip. Clips may overlap; frames are kept until the last
            clip that shows them was yielded, so clips that follow one another take least memory.
        min_side: as of :func:`decode_video`.
        allow_truncated: as of :func:`decode_video`.

    Raises:
        MediaError: as :func:`decode_video`.
        TruncatedError: as :func:`decode_video`.
        ValueError: no times, or a time that is not finite.
    """
    for times in times_seconds:
        if not len(times) or not all(math.isfinite(time) for time in times):
            raise ValueError(f"times_seconds must be finite and at least one, got {times!r}")
    queue = deque(sorted({time for times in times_seconds for time in times}))
    needed = Counter(time for times in times_seconds for time in set(times))
    shown: dict[float, tuple[np.ndarray, float]] = {}
    with opened(source) as file, pictures_of(file) as reader:
        latest: tuple[Any, np.ndarray] | None = None
        for times in times_seconds:
            while queue and queue[0] <= max(times):
                time = queue.popleft()
                now = reader.shown_at(time)
                if now is None:
                    reason = reader.failure or "no frame comes out"
                    message = f"can't be decoded, {reason}. Re-encode it."
                    raise MediaError(file.name, "decode", message, reader.decoder)
                if reader.ended and not allow_truncated:
                    _check_end(reader, time, reader.due_end_seconds, file.name)
                if latest is None or latest[0] is not now.frame:
                    latest = now.frame, _upright_rgb(now.frame, reader.stretch, min_side)
                shown[time] = latest[1], now.seconds
            yield _clip(times, shown, reader, file.name)
            for time in set(times):
                needed[time] -= 1
                if not needed[time]:
                    del shown[time]


@contextmanager
def pictures_of(file: MediaFile) -> Iterator[FrameReader]:
    """Open the pictures of a file.

    Raises:
        MediaError: (stage ``decode``) it has none, or none that can be decoded.
    """
    index = packet_index(file, "decode")
    if index.pictures is None:
        message = "has no pictures. Take its sound alone."
        if index.failure:
            message = f"has no pictures that can be decoded, {index.failure}. Re-encode it."
        raise MediaError(file.name, "decode", message)
    with PacketReader(file, index.pictures) as packets:
        yield FrameReader(index, packets)


def _clip(
    times: Sequence[float],
    shown: Mapping[float, tuple[np.ndarray, float]],
    reader: FrameReader,
    name: str,
) -> Clip:
    if reader.corrupt * 10 > reader.good + 10:  # one broken end is no matter
        message = f"is corrupt, {reader.corrupt} packets can't be decoded. Re-encode it."
        raise MediaError(name, "decode", message, reader.decoder)
    if len({shown[time][0].shape for time in times}) > 1:
        message = "changes its picture size midway. Re-encode it."
        raise MediaError(name, "decode", message, reader.decoder)
    return Clip(
        np.stack([shown[time][0] for time in times]),
        np.array([shown[time][1] for time in times], np.float64),
    )


def _check_end(reader: FrameReader, time: float, due: float, name: str) -> None:
    end = reader.end_seconds
    if not clearly_short(end, min(time, due)):
        return
    message = f"stops after {end:.1f} s of {due:.1f} s. Re-encode it, or allow truncated files."
    raise TruncatedError(name, message, reader.decoder, end)


def _upright_rgb(frame: Any, stretch: tuple[float, float], min_side: int | None) -> np.ndarray:
    """Convert a frame to RGB ``(height, width, 3)``, scaled down and turned as it is shown."""
    width, height = round(frame.width * stretch[0]), round(frame.height * stretch[1])
    if min_side is not None and min(width, height) > ROOM * min_side:
        scale = ROOM * min_side / min(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    # one thread: starting a pool for every frame costs 20 times the conversion of a small one
    rgb = frame.reformat(width, height, format="rgb24", interpolation="AREA", threads=1)
    pixels = rgb.to_ndarray()
    matrix = next((s for s in frame.side_data if s.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]  # x' = a x + c y, y' = b x + d y
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
