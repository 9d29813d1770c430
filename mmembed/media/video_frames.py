"""Frames of one video stream, walked forwards; no group of pictures is decoded in vain.

Targets come in rising order. Compressed packets are read ahead to the first key frame behind
the target, and all before the last key frame at or before it are dropped undecoded; a target far
ahead is seeked to. It knows nothing of colours, sizes or rotation.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import av

SEEK_FROM_SECONDS = 10.0  # nearer targets are reached by reading on
SEEK_EARLY_SECONDS = 1.0  # some indices count in decoding order: come in a little before
EPSILON_SECONDS = 1e-6  # a time that is a frame's own, but for rounding, shows that frame


class Shown(NamedTuple):
    """A decoded frame and when it begins to be shown, in seconds from the first frame."""

    seconds: float
    frame: Any


class FrameReader:
    """The frames shown at rising times of one stream; broken packets are counted and passed.

    Attributes:
        decoder: name of the codec.
        good: frames decoded.
        corrupt: packets that could not be decoded.
        failure: what the decoder or the container said last, None if nothing.
        ended: whether the last frame was reached.
        origin_seconds: the container's time of the first frame.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self.decoder: str = stream.codec_context.codec.name
        self.good = self.corrupt = 0
        self.failure: str | None = None
        self.ended = False
        self._container, self._stream = container, stream
        self._tick = float(stream.time_base)
        self._frame_seconds = float(1 / (stream.average_rate or 25))
        # AVI stores no presentation times: frames come out in order, one decoding time each
        self._unstamped: bool = container.format.name == "avi"
        self._packets = container.demux(stream)
        self._ahead: deque[Any] = deque()
        self._target = -math.inf
        self._frames = self._decode()
        self.origin_seconds = self._stamp = 0.0
        self._current: Shown | None = None
        self._next: Shown | None = next(self._frames, None)
        self.origin_seconds = self._stamp
        if self._next is not None:
            self._next = Shown(0.0, self._next.frame)

    @property
    def end_seconds(self) -> float:
        """End of the last frame, in seconds; by the frame rate where its duration is not stored."""
        last = self._current or self._next
        if last is None:
            return 0.0
        ticks = getattr(last.frame, "duration", None)
        return last.seconds + (
            float(ticks * last.frame.time_base) if ticks else self._frame_seconds
        )

    def shown_at(self, seconds: float) -> Shown | None:
        """Return the frame shown at a time, which must not be before one asked earlier.

        Returns:
            The last frame that begins at or before it, else the first; None if there is none.
        """
        target = seconds + EPSILON_SECONDS
        if self._next is not None and self._next.seconds <= target:
            if target - self._next.seconds >= SEEK_FROM_SECONDS:
                self._seek(target)
            self._target = target
        while self._next is not None and self._next.seconds <= target:
            self._current, self._next = self._next, next(self._frames, None)
        self.ended = self._next is None
        return self._current or self._next

    def _seek(self, target: float) -> None:
        """Go to a key frame before ``target``; to the beginning if that lands behind it."""
        kept = self._next
        for goal in (target - SEEK_EARLY_SECONDS, 0.0):
            try:
                offset = int((goal + self.origin_seconds) / self._tick)
                self._container.seek(offset, stream=self._stream)
            except av.FFmpegError:
                continue
            self._packets, self._target = self._container.demux(self._stream), goal
            self._ahead.clear()
            self._frames = self._decode()
            self._next = next(self._frames, None)
            if self._next is not None and self._next.seconds <= target:
                return
        self._next = kept

    def _decode(self) -> Iterator[Shown]:
        while (packet := self._packet()) is not None:
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.corrupt += packet.size > 0
                self.failure = str(error.strerror).lower()
                continue
            self.good += len(frames)
            for frame in frames:
                self._stamp = self._begin(frame)
                yield Shown(self._stamp - self.origin_seconds, frame)

    def _begin(self, frame: Any) -> float:
        """Return when a frame begins to be shown, in seconds of the container's clock."""
        ticks = frame.dts if self._unstamped else frame.pts
        if ticks is not None:
            return ticks * self._tick
        return max(self._stamp + self._frame_seconds, (frame.pts or 0) * self._tick)

    def _packet(self) -> Any | None:
        """Return the next packet to decode, after leaping to the last key frame before a target."""
        if self._target > -math.inf:
            self._leap()
            self._target = -math.inf
        return self._ahead.popleft() if self._ahead else self._read()

    def _leap(self) -> None:
        landing = 0
        for i, packet in enumerate(self._all_ahead()):
            if packet.is_keyframe and packet.pts is not None:
                if self._shown_from(packet) > self._target:
                    break
                landing = i
        if landing:
            for _ in range(landing):
                self._ahead.popleft()
            self._stamp = (
                self._shown_from(self._ahead[0]) + self.origin_seconds - self._frame_seconds
            )
            self._stream.codec_context.flush_buffers()

    def _shown_from(self, packet: Any) -> float:
        """Return when a packet's frame begins to be shown, rather late where it is not stored."""
        stored = packet.pts * self._tick - self.origin_seconds
        if self._unstamped:  # the origin lies as far behind 0 as frames are reordered
            return max(stored, packet.dts * self._tick + self.origin_seconds)
        return stored

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
