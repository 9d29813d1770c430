"""Packets of one track, forwards, with mended time stamps; a far one is gone to where that is sure.

A seek counts only if the packet that it lands on is known by its place in the file. Where a
container says otherwise, or does not say, it is opened anew and the packets before are read over.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

import av

from mmembed.media.container import open_container
from mmembed.media.file import MediaFile
from mmembed.media.track_index import TrackIndex

SEEK_FROM_PACKETS = 500  # nearer ones are read over, which takes no longer
Self = TypeVar("Self", bound="PacketReader")


class PacketReader:
    """The packets of one track of a file, and the decoder for them, on one thread.

    Attributes:
        stream: the track in the open container; another one after :meth:`go_to`.
        number: of the packet that comes next, as the index counts them.
        failure: what the container said last; empty if nothing.

    Raises:
        MediaError: the container can't be opened.
    """

    def __init__(self, file: MediaFile, track: TrackIndex) -> None:
        self.failure = ""
        self.number = 0
        self._landed: Any = None
        self._file, self._track = file, track
        self._may_seek = not track.shifts and track.is_stamped
        self._stack = ExitStack()
        self._open()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def decoder(self) -> str:
        """Name of the codec's decoder."""
        return str(self.stream.codec_context.codec.name)

    def next(self) -> Any | None:
        """Return the next packet, None behind the last one; an empty one flushes the decoder."""
        try:
            packet = self._landed or next(self._packets, None)
        except av.FFmpegError as error:  # the file ends in the middle of a packet
            self.failure = str(error.strerror).lower()
            return None
        self._landed = None
        if packet is None or not (packet.size or packet.pts is not None):
            return packet
        if self._track.shifts:
            self._shift(packet)
        self.number += 1
        return packet

    def go_to(self, number: int) -> None:
        """Make packet ``number`` the next one, with a decoder that knows of none before."""
        if number < self.number:
            self._open()
        if number - self.number > SEEK_FROM_PACKETS and self._may_seek:
            self._seek(number)
        while self.number < number and self.next() is not None:
            pass
        self.stream.codec_context.flush_buffers()

    def _shift(self, packet: Any) -> None:
        """Mend the time stamps of the next packet."""
        shift = next((s for first, s in reversed(self._track.shifts) if first <= self.number), 0.0)
        ticks = round(shift / float(self.stream.time_base))
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks

    def _open(self) -> None:
        self._stack.close()
        container = self._stack.enter_context(open_container(self._file, "decode"))
        self.container, self.stream = container, container.streams[self._track.stream]
        self.stream.thread_type, self.stream.codec_context.thread_count = "SLICE", 1
        self._packets = container.demux(self.stream)
        self._landed, self.number = None, 0

    def _seek(self, number: int) -> None:
        """Seek to a packet at or before ``number``; go on as before if that can't be sure."""
        tick, here = float(self.stream.time_base), self.number
        packet = None
        try:
            self.container.seek(round(self._track.stamps[number] / tick), stream=self.stream)
            self._packets = self.container.demux(self.stream)
            packet = next(self._packets, None)
        except (av.FFmpegError, OverflowError):
            pass
        landed = None if packet is None else self._track.number_of(packet)
        if landed is None or not here <= landed <= number:
            self._may_seek = False
            self._open()
        else:
            self.number, self._landed = landed, packet
