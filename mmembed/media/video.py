"""Decodes the frames that a video shows at asked times, upright, decoding no more than needed.

Decoders run on one thread (``thread_type`` SLICE, ``thread_count`` 1): clips are short and
decoding is spread over worker processes, where more threads would only compete, and frame
threads delay the first frame. This module knows nothing of how many frames an encoder wants,
nor of sound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type

from mmembed.errors import MediaError, TruncatedError
from mmembed.media.container import declared_seconds, open_container, video_stream
from mmembed.media.file import Source, opened
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
    of the file.
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
    applied; pixels that are not square are left so.

    Args:
        source: a path, a URL, the encoded file as ``bytes``, or a file that is open.
        times_seconds: in any order, repeats allowed, counted from the first frame.
        min_side: frames whose shorter side is more than twice this are scaled down to twice
            this (area averaging, the aspect kept).
        allow_truncated: of a file that stops early, take its last frame for what is missing.

    Raises:
        MediaError: (stage ``decode``) not a video, or corrupt.
        TruncatedError: it stops clearly before an asked time that lies within the duration that
            its header declares.
        ValueError: no times, or a time that is not finite.
    """
    if not len(times_seconds) or not all(math.isfinite(t) for t in times_seconds):
        raise ValueError(f"times_seconds must be finite and at least one, got {times_seconds!r}")
    with opened(source) as file, open_container(file, "decode") as container:
        name = file.name
        stream = video_stream(container)
        if stream is None:
            raise MediaError(name, "decode", "has no pictures. Take its sound alone.")
        stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        reader = FrameReader(container, stream)
        shown: dict[float, tuple[np.ndarray, float]] = {}
        latest: tuple[Any, np.ndarray] | None = None
        for time in sorted(set(times_seconds)):
            now = reader.shown_at(time)
            if now is None:
                reason = reader.failure or "no frame comes out"
                message = f"can't be decoded, {reason}. Re-encode it."
                raise MediaError(name, "decode", message, reader.decoder)
            if reader.ended and not allow_truncated:
                begin = reader.origin_seconds
                declared = declared_seconds(container, stream, file, begin)
                _check_end(reader, time, declared, name)
            if latest is None or latest[0] is not now.frame:
                latest = now.frame, _upright_rgb(now.frame, min_side)
            shown[time] = latest[1], now.seconds
    if reader.corrupt * 10 > reader.good + 10:  # one broken end is no matter
        message = f"is corrupt, {reader.corrupt} packets can't be decoded. Re-encode it."
        raise MediaError(name, "decode", message, reader.decoder)
    sizes = {pixels.shape for pixels, _ in shown.values()}
    if len(sizes) > 1:
        message = "changes its picture size midway. Re-encode it."
        raise MediaError(name, "decode", message, reader.decoder)
    return Clip(
        np.stack([shown[t][0] for t in times_seconds]),
        np.array([shown[t][1] for t in times_seconds], np.float64),
    )


def _check_end(reader: FrameReader, time: float, declared: float | None, name: str) -> None:
    end = reader.end_seconds
    if declared is None or min(time, declared) - end <= max(0.25, 0.02 * declared):
        return
    message = (
        f"stops after {end:.1f} s of {declared:.1f} s. Re-encode it, or allow truncated files."
    )
    raise TruncatedError(name, message, reader.decoder, end)


def _upright_rgb(frame: Any, min_side: int | None) -> np.ndarray:
    """Convert a frame to RGB ``(height, width, 3)``, scaled down and turned as it is shown."""
    width, height = frame.width, frame.height
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
