"""Walks the frames of one video stream forwards, decoding no group of pictures in vain.

Targets come in rising order. Compressed packets are read ahead to the first key frame behind
the target, and all before the last key frame at or before it are dropped undecoded; a target far
ahead is seeked to. It knows nothing of colours, sizes or rotation.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import av

SEEK_FROM_SECONDS = 10.0  # nearer targets are reached by reading on
SEEK_EARLY_SECONDS = 1.0  # some indices count in decoding order: come in a little before
EPSILON_SECONDS = 1e-6  # a time that is a frame's own, but for rounding, shows that frame


class FrameReader:
    """The frames shown at rising times of one stream; broken packets are counted and passed.

    Attributes:
        decoder: name of the codec.
        good: frames decoded.
        corrupt: packets that could not be decoded.
        failure: what the decoder or the container said last, None if nothing.
        ended: whether the last frame was reached.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self.decoder: str = stream.codec_context.codec.name
        self.good = self.corrupt = 0
        self.failure: str | None = None
        self.ended = False
        self._container, self._stream = container, stream
        self._packets = container.demux(stream)
        self._ahead: deque[Any] = deque()
        self._leap_to = -math.inf
        self._frames = self._decode()
        self._current: Any = None
        self._next: Any = next(self._frames, None)
        self._origin = 0.0 if self._next is None else _stamp(self._next)

    def seconds(self, frame: Any) -> float:
        """Return when a frame begins to be shown, counted from the first frame."""
        return _stamp(frame) - self._origin

    @property
    def end_seconds(self) -> float:
        """When the frame shown last ends; by the frame rate where its duration is not stored."""
        frame = self._current or self._next
        if getattr(frame, "duration", None):
            return self.seconds(frame) + float(frame.duration * frame.time_base)
        return self.seconds(frame) + float(1 / (self._stream.average_rate or 25))

    def shown_at(self, time: float) -> Any | None:
        """Return the frame shown at ``time``, which must not be before one asked earlier.

        Returns:
            The last frame that begins at or before it, else the first; None if there is none.
        """
        target = time + self._origin + EPSILON_SECONDS
        if self._next is not None and _stamp(self._next) <= target:
            if target - _stamp(self._next) >= SEEK_FROM_SECONDS:
                self._seek(target)
            self._leap_to = target
        while self._next is not None and _stamp(self._next) <= target:
            self._current, self._next = self._next, next(self._frames, None)
        self.ended = self._next is None
        return self._current or self._next

    def _seek(self, target: float) -> None:
        """Go to a key frame before ``target``; back to the beginning if it lands behind it."""
        kept = self._next
        for goal in (target - SEEK_EARLY_SECONDS, self._origin):
            try:
                offset = int(goal / self._stream.time_base)
                self._container.seek(offset, stream=self._stream)
            except av.FFmpegError:
                continue
            self._packets, self._leap_to = self._container.demux(self._stream), goal
            self._ahead.clear()
            self._frames = self._decode()
            self._next = next(self._frames, None)
            if self._next is not None and _stamp(self._next) <= target:
                return
        self._next = kept

    def _decode(self) -> Iterator[Any]:
        while (packet := self._packet()) is not None:
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.corrupt += packet.size > 0
                self.failure = str(error.strerror).lower()
                continue
            self.good += len(frames)
            yield from frames

    def _packet(self) -> Any | None:
        """Return the next packet to decode, after leaping to the last key frame before a target."""
        if self._leap_to > -math.inf:
            self._leap()
            self._leap_to = -math.inf
        return self._ahead.popleft() if self._ahead else self._read()

    def _leap(self) -> None:
        target, landing = self._leap_to, 0
        for i, packet in enumerate(self._all_ahead()):
            if packet.is_keyframe and packet.pts is not None:
                if packet.pts * packet.time_base > target:
                    break
                landing = i
        if landing:
            for _ in range(landing):
                self._ahead.popleft()
            self._stream.codec_context.flush_buffers()

    def _all_ahead(self) -> Iterator[Any]:
        yield from tuple(self._ahead)
        while (packet := self._read()) is not None:
            self._ahead.append(packet)
            yield packet

    def _read(self) -> Any | None:
        try:
            return next(self._packets, None)
        except av.FFmpegError as error:  # the file ends in the middle of a packet
            self.failure = str(error.strerror).lower()
            return None


def _stamp(frame: Any) -> float:
    pts = frame.pts if frame.pts is not None else frame.dts
    return float((pts or 0) * frame.time_base)
