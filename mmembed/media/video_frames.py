"""Frames of one video stream, walked forwards; no group of pictures is decoded in vain.

Targets come in rising order. Packets before the last key frame at or before a target are dropped
undecoded. A flag is not believed: a decoder that was sent there has to give that very frame first,
or the stream is decoded from its beginning, without leaps. It knows nothing of colours, sizes or
rotation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import av
import numpy as np

from mmembed.media import progress
from mmembed.media.container import square_size
from mmembed.media.packet_index import PacketIndex
from mmembed.media.packet_reader import PacketReader
from mmembed.media.track_index import TrackIndex

EPSILON_SECONDS = 1e-6  # a time that is a frame's own, but for rounding, shows that frame
SMALL_BYTES = 16  # a packet without a picture: XviD flags place holders as key frames


class Shown(NamedTuple):
    """A decoded frame and when it begins to be shown, in seconds from the file's time 0."""

    seconds: float
    frame: Any


class FrameReader:
    """The frames shown at rising times of one stream; broken packets are counted and passed.

    Attributes:
        decoder: name of the codec.
        good: frames decoded.
        corrupt: packets that could not be decoded.
        failure: what the decoder or the container said last, empty if nothing.
        ended: whether the last frame was reached.
        stretch: factors of width and height that make pixels square.
        due_end_seconds: the end that headers declare, or that of the packets.
    """

    def __init__(self, index: PacketIndex, packets: PacketReader) -> None:
        track = index.pictures
        assert track is not None
        self.decoder = packets.decoder
        self.stretch = _stretch(packets.stream)
        self.good = self.corrupt = 0
        self.failure = ""
        self.ended = False
        self._packets, self._track = packets, track
        self._unstamped = track.by_decoding
        self._origin = index.origin_seconds
        self.due_end_seconds = index.missed_end_seconds or index.span(track)[1]
        self._keys, self._shown_from = self._key_frames(track)
        self._tick = float(packets.stream.time_base)
        self._frames = self._decoded()
        self._stamp = track.begin_seconds - track.frame_seconds
        self._current: Shown | None = None
        self._next: Shown | None = next(self._frames, None)

    @property
    def end_seconds(self) -> float:
        """End of the last frame, in seconds; by the frame rate where its duration is not stored."""
        last = self._current or self._next
        if last is None:
            return 0.0
        ticks = getattr(last.frame, "duration", None)
        length = float(ticks * last.frame.time_base) if ticks else self._track.frame_seconds
        return last.seconds + length

    def shown_at(self, seconds: float) -> Shown | None:
        """Return the frame shown at a time, which must not be before one asked earlier.

        Returns:
            The last frame that begins at or before it, else the first; None if there is none.
        """
        target = seconds + EPSILON_SECONDS
        if self._next is not None and self._next.seconds <= target:
            self._leap(target)
        while self._next is not None and self._next.seconds <= target:
            self._current, self._next = self._next, next(self._frames, None)
        self.ended = self._next is None
        return self._current or self._next

    def _key_frames(self, track: TrackIndex) -> tuple[np.ndarray, np.ndarray]:
        """Return the packets that may be leaped to, and when their frames are shown at the latest.

        None are where time stamps are missing: what is shown when can only be counted then.
        """
        keys = track.keys[track.sizes[track.keys] > SMALL_BYTES]
        if not track.is_stamped:
            keys = keys[:0]
        shown = track.stamps[keys] - self._origin
        if self._unstamped:  # the first frame comes out as late as frames are reordered
            shown = shown + 2 * (track.begin_seconds - (track.stamps[0] if len(keys) else 0.0))
        order = np.argsort(shown, kind="stable")
        return keys[order], shown[order]

    def _leap(self, target: float) -> None:
        """Go to the last key frame at or before ``target`` if it lies ahead of what was read."""
        at = int(np.searchsorted(self._shown_from, target, "right")) - 1
        if at < 0 or self._keys[at] <= self._packets.number:
            return
        number, due = int(self._keys[at]), float(self._shown_from[at])
        kept, failed = self._next, self.corrupt
        self._packets.go_to(number)
        self._stamp = self._origin + due - self._track.frame_seconds
        self._frames = self._decoded()
        self._next = next(self._frames, None)
        if not self._unstamped:  # frames in front of a key frame may refer to others before it
            while self._next is not None and self._next.seconds < due - EPSILON_SECONDS:
                self._next = next(self._frames, None)
        if self._next is not None and self._next.frame.key_frame:
            late = self._next.seconds - (target if self._unstamped else due)
            if late <= EPSILON_SECONDS:
                return
        progress.begin_again()
        self._keys, self._shown_from = self._keys[:0], self._shown_from[:0]
        self.corrupt = failed
        self._packets.go_to(0)
        self._stamp = self._track.begin_seconds - self._track.frame_seconds
        self._frames = self._decoded()
        self._next = next(self._frames, None)
        if self._next is None:
            self._next = kept

    def _decoded(self) -> Iterator[Shown]:
        while (packet := self._packets.next()) is not None:
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.corrupt += packet.size > 0
                self.failure = str(error.strerror).lower()
                continue
            self.good += len(frames)
            for frame in frames:
                self._stamp = self._begin(frame)
                progress.report(self._stamp - self._origin)
                yield Shown(self._stamp - self._origin, frame)

    def _begin(self, frame: Any) -> float:
        """Return when a frame begins to be shown, in seconds of the container's clock."""
        ticks = frame.dts if self._unstamped else frame.pts
        if ticks is not None and (self._unstamped or self._track.is_stamped):
            return float(ticks * self._tick)
        after = self._stamp + self._track.frame_seconds
        if self._unstamped and frame.pts is not None:
            return max(after, float(frame.pts * self._tick))
        return after


def _stretch(stream: Any) -> tuple[float, float]:
    stored, square = (stream.codec_context.width, stream.codec_context.height), square_size(stream)
    wide, high = (new / max(1, old) for new, old in zip(square, stored, strict=True))
    return wide, high
