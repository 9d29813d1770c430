"""Sound by FFmpeg: a range of samples of any track that it knows, placed by its time stamps.

It knows nothing of rates other than the file's own, nor of what is done with the samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
from av.audio.plane import AudioPlane

from mmembed.errors import MediaError
from mmembed.media.container import (
    audio_stream,
    declared_seconds,
    open_container,
    video_stream,
)
from mmembed.media.file import MediaFile
from mmembed.media.pcm_header import clearly_short

SEEK_FROM_SECONDS = 2.0  # nearer spans are reached by decoding on
PREROLL_SECONDS = 0.5  # decoders with memory (MP3, AAC, Opus) settle well within this
GAP_SECONDS = 0.1  # time stamps further off than this mean missing sound, not jitter
SAMPLES: dict[str, tuple[Any, float]] = {  # by format: how one is stored, and full scale
    "u8": (np.uint8, 128.0),
    "s16": (np.int16, 2.0**15),
    "s32": (np.int32, 2.0**31),
    "s64": (np.int64, 2.0**63),
    "flt": (np.float32, 1.0),
    "dbl": (np.float64, 1.0),
}

Range = Callable[[int], tuple[int, "int | None"]]
"""From a rate in Hz to the wanted samples ``[first, stop)``, ``stop`` None for "to the end"."""


@dataclass(frozen=True)
class Track:
    """Float32 ``samples (channels, samples)`` from sample ``first`` of a file on.

    ``end_seconds`` is how far the file could be decoded; ``declared_seconds`` is set only if it
    stops clearly before the end that its header declares.
    """

    samples: np.ndarray
    sample_rate: int
    first: int
    decoder: str
    end_seconds: float
    declared_seconds: float | None = None


def decode_track(file: MediaFile, wanted: Range) -> Track:
    """Decode the wanted samples of the first sound track, seeking where that is exact.

    Time 0 is the first sample, in a video its first frame; sound that is missing there, or in a
    gap, is silence.

    Raises:
        MediaError: (stage ``decode``) no sound track, or one that can't be decoded.
    """
    track = _decode(file, wanted, SEEK_FROM_SECONDS)
    return track or cast(Track, _decode(file, wanted, math.inf))


def _decode(file: MediaFile, wanted: Range, seek_from_seconds: float) -> Track | None:
    """Decode the wanted samples, None if seeking does not lead to a place known exactly."""
    name = file.name
    with open_container(file, "decode") as container:
        stream = audio_stream(container)
        if stream is None:
            message = "has no sound track. Leave it out, or take its pictures alone."
            raise MediaError(name, "decode", message)
        frames = _Frames(container, stream)
        opening = list(itertools.islice(frames, 2))
        if not opening:
            if frames.failure is None:
                return Track(np.zeros((1, 0), np.float32), 1, 0, frames.decoder, 0.0)
            message = f"can't be decoded, {frames.failure}. Re-encode it."
            raise MediaError(name, "decode", message, frames.decoder)
        clock = _Clock(opening, _origin_seconds(container, opening[0]))
        first, stop = wanted(clock.rate)
        position, following = clock.begin, cast(Iterator[Any], itertools.chain(opening, frames))
        if first - clock.begin >= seek_from_seconds * clock.rate:
            frames.seek(clock.origin_seconds + first / clock.rate - PREROLL_SECONDS)
            place, following = _landing(clock, frames, first)
            if place is None or place > first:
                return None
            position = place
        samples, reached = _collect(clock, following, position, (first, stop))
        if clock.changed:
            message = "changes its rate or channels midway. Re-encode it."
            raise MediaError(name, "decode", message, frames.decoder)
        begin = clock.origin_seconds + clock.begin / clock.rate
        declared = declared_seconds(container, stream, file, begin) if frames.finished else None
        short = clearly_short((reached - clock.begin) / clock.rate, declared)
        if frames.corrupt * 10 > frames.good + 10 and not short:  # one broken end is no matter
            message = f"is corrupt, {frames.corrupt} packets can't be decoded. Re-encode it."
            raise MediaError(name, "decode", message, frames.decoder)
        return Track(
            samples,
            clock.rate,
            first,
            frames.decoder,
            reached / clock.rate,
            declared if short else None,
        )


def _landing(clock: _Clock, frames: _Frames, first: int) -> tuple[int | None, Iterator[Any]]:
    """Return the place of a frame that was seeked to, None if unknown, and the frames from it on.

    FFmpeg misplaces a Vorbis frame between a long and a short block. Two of one length that
    follow each other lie right, so Vorbis begins with such a pair.
    """
    landed = next(iter(frames), None)
    place = None if landed is None else clock.place(landed)
    if frames.decoder != "vorbis":
        return place, itertools.chain([landed], frames)
    while landed is not None and place is not None and place <= first:
        after = next(iter(frames), None)
        following = None if after is None else clock.place(after)
        alike = after is not None and after.samples == landed.samples
        if alike and following == place + landed.samples:
            return place, itertools.chain([landed, after], frames)
        landed, place = after, following
    return None, iter(())


def _collect(
    clock: _Clock, frames: Iterable[Any], position: int, wanted: tuple[int, int | None]
) -> tuple[np.ndarray, int]:
    """Return samples ``(channels, samples)`` of a range, and the sample that decoding reached.

    ``position`` is the place of the first frame; the others follow it without a seam, unless
    their time stamps jump ahead.
    """
    first, stop = wanted
    parts = [np.zeros((clock.channels, max(0, position - first)), np.float32)]
    for frame in frames:
        if clock.differs(frame):
            break
        jump = clock.estimate(frame, position) - position
        if jump > GAP_SECONDS * clock.rate:
            parts.append(
                np.zeros((clock.channels, jump), np.float32)[:, max(0, first - position) :]
            )
            position += jump
        if position + frame.samples > first:
            parts.append(_scaled(frame)[:, max(0, first - position) :])
        position += frame.samples
        if stop is not None and position >= stop:
            break
    samples = np.concatenate(parts, axis=1)
    return samples if stop is None else samples[:, : max(0, stop - first)], position


def _scaled(frame: Any) -> np.ndarray:
    """Return the samples ``(channels, samples)`` of a frame as float32, full scale being 1."""
    channels, samples = frame.layout.nb_channels, frame.samples
    dtype, scale = SAMPLES[frame.format.name.rstrip("p")]
    planes, count = (channels, samples) if frame.format.is_planar else (1, samples * channels)
    # PyAV counts planes up to a null pointer, which lies outside a frame of 8 planes or more
    data = [memoryview(AudioPlane(frame, i)) for i in range(planes)]
    stored = [np.frombuffer(plane, dtype, count) for plane in data]
    values = np.stack(stored) if frame.format.is_planar else stored[0].reshape(-1, channels).T
    if dtype is np.uint8:
        values = values.astype(np.float32) - 128
    return (values / scale).astype(np.float32)


class _Clock:
    """The place of frames on the sample count of a file, whose time 0 is ``origin_seconds``."""

    def __init__(self, opening: list[Any], origin_seconds: float) -> None:
        head, last = opening[0], opening[-1]
        self.rate: int = head.sample_rate
        self.channels: int = head.layout.nb_channels
        self.origin_seconds = origin_seconds
        self.changed = False
        self.begin = self.estimate(head, 0)
        self._second, self._unit = self.begin + head.samples, last.samples

    def differs(self, frame: Any) -> bool:
        """Return (and remember) whether a frame is of another rate or channel count."""
        same = (frame.sample_rate, frame.layout.nb_channels) == (self.rate, self.channels)
        self.changed |= not same
        return not same

    def estimate(self, frame: Any, otherwise: int) -> int:
        """Return the place of a frame by its time stamp, ``otherwise`` if it has none."""
        if frame.pts is None:
            return otherwise
        return round((float(frame.pts * frame.time_base) - self.origin_seconds) * self.rate)

    def place(self, frame: Any) -> int | None:
        """Return the exact place of a frame that was seeked to, None if it can't be known.

        Time stamps in whole milliseconds (Matroska, AVI …) are rounded, but frames of constant
        length lie on a grid.
        """
        if frame.pts is None or self.differs(frame):
            return None
        near = self.estimate(frame, 0)
        if frame.time_base.denominator % (self.rate * frame.time_base.numerator) == 0:
            return near
        on_grid = self._second + round((near - self._second) / self._unit) * self._unit
        tolerance = 2 * float(frame.time_base) * self.rate
        exact = frame.samples == self._unit and abs(on_grid - near) <= tolerance < self._unit / 2
        return on_grid if exact else None


class _Frames:
    """The decoded frames of one stream; packets that can't be decoded are counted and passed."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.container, self.stream = container, stream
        self.decoder: str = stream.codec_context.codec.name
        self.good = self.corrupt = 0
        self.failure: str | None = None
        self.finished = False
        self._running = self._decode()

    def __iter__(self) -> Iterator[Any]:
        return self._running

    def seek(self, seconds: float) -> None:
        """Go to a packet at or before ``seconds`` of the container's own clock."""
        with suppress(av.FFmpegError):  # what comes next is placed by its time stamp anyway
            self.container.seek(int(seconds / self.stream.time_base), stream=self.stream)
        self._running = self._decode()

    def _decode(self) -> Iterator[Any]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:  # the file ends in the middle of a packet
                self.failure = str(error.strerror).lower()
                break
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.corrupt += packet.size > 0
                self.failure = str(error.strerror).lower()
                continue
            self.good += len(frames)
            yield from frames
        self.finished = True


def _origin_seconds(container: Any, opening: Any) -> float:
    pictures = video_stream(container)
    if pictures is not None and pictures.start_time is not None:
        return float(pictures.start_time * pictures.time_base)
    return float((opening.pts or 0) * opening.time_base)
