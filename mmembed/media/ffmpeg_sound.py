"""Sound by FFmpeg: the samples of any track that it knows, placed by their time stamps.

It knows nothing of rates other than the file's own, nor of what is done with the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
from av.audio.plane import AudioPlane

from mmembed.errors import MediaError
from mmembed.media.declared_length import clearly_short
from mmembed.media.file import MediaFile
from mmembed.media.packet_index import packet_index
from mmembed.media.packet_reader import PacketReader
from mmembed.media.sample_reader import SampleReader

SEEK_FROM_SECONDS = 10.0  # nearer samples are reached by decoding on
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
FORGETFUL = frozenset(  # decoders that soon give the same, wherever they begin
    {"mp3", "mp3float", "mp2", "mp2float", "aac", "opus", "libopus", "flac", "alac", "ac3", "eac3"}
)


@contextmanager
def ffmpeg_reader(file: MediaFile) -> Iterator[FFmpegReader]:
    """Open the first sound track of a file.

    Raises:
        MediaError: (stage ``decode``) no sound track, or one that can't be decoded.
    """
    index = packet_index(file, "decode")
    if index.sound is None:
        message = "has no sound track. Leave it out, or take its pictures alone."
        if index.failure:
            message = f"has no sound that can be decoded, {index.failure}. Re-encode it."
        raise MediaError(file.name, "decode", message)
    with PacketReader(file, index.sound) as packets:
        yield FFmpegReader(file, packets)


class FFmpegReader(SampleReader):
    """The samples of a sound track, decoded forwards; far ones are gone to where that is sure.

    Sound that is missing before the first sample, or in a gap, is silence. Packets that can't be
    decoded are counted and passed.

    Raises:
        MediaError: (stage ``decode``) nothing can be decoded.
    """

    def __init__(self, file: MediaFile, packets: PacketReader) -> None:
        super().__init__()
        self._file, self._packets, self._index = file, packets, packet_index(file)
        self._origin = self._index.origin_seconds
        assert self._index.sound is not None
        self._track = self._index.sound
        self.end_seconds = self._index.span(self._track)[1]
        self.decoder = packets.decoder
        self._good = self._corrupt = 0
        self._failure = ""
        self._frames = self._decoded()
        opening = next(self._frames, None)
        if opening is None:
            message = f"can't be decoded, {self._failure or 'no sample comes out'}. Re-encode it."
            raise MediaError(file.name, "decode", message, self.decoder)
        self._tick = float(opening.time_base)
        self.sample_rate: int = opening.sample_rate
        self.channels: int = opening.layout.nb_channels
        self._begin = self.position = self._estimate(opening, 0)
        self.keep(_scaled(opening))
        following = next(self._frames, None)
        self._ahead: Any = following
        # frames of constant length lie on a grid, from the second on: the first may be cut
        self._second = self._begin + opening.samples
        self._unit: int = opening.samples if following is None else following.samples
        self._may_seek = self.decoder in FORGETFUL or self.decoder.startswith("pcm_")

    def decode_on(self) -> None:
        """Decode a frame."""
        frame, self._ahead = self._ahead or next(self._frames, None), None
        if frame is None:
            self.finished = True
            self.check()
            return
        if self._differs(frame):
            message = "changes its rate or channels midway. Re-encode it."
            raise MediaError(self._file.name, "decode", message, self.decoder)
        place = self._estimate(frame, self.position)
        jumps = place - self.position > GAP_SECONDS * self.sample_rate
        self.keep(_scaled(frame), place if jumps else self.position)

    def go_near(self, sample: int) -> None:
        """Seek, if that saves much, to where the place of the samples is known exactly."""
        far = sample - self.position >= SEEK_FROM_SECONDS * self.sample_rate
        if not far or not self._may_seek or self.finished:
            return
        goal = self._origin + sample / self.sample_rate - PREROLL_SECONDS
        number = int(np.searchsorted(self._track.stamps, goal, "right")) - 1
        if number <= self._packets.number:
            return
        self._packets.go_to(number)
        self._frames, self._ahead = self._decoded(), None
        landed = next(self._frames, None)
        place = None if landed is None else self._place(landed)
        if place is None or place > sample:  # begin anew, and decode all that lies before
            self._may_seek = False
            self._packets.go_to(0)
            self._frames, self.position = self._decoded(), self._begin
        else:
            self._ahead, self.position = landed, place

    def check(self) -> None:
        """Refuse a track of which much can't be decoded; one broken end is no matter."""
        if self._corrupt * 10 > self._good + 10 and self.missed_end_seconds() is None:
            message = f"is corrupt, {self._corrupt} packets can't be decoded. Re-encode it."
            raise MediaError(self._file.name, "decode", message, self.decoder)

    def missed_end_seconds(self) -> float | None:
        """Return the end that headers declare, or that of the packets, if that was not reached."""
        if self._index.missed_end_seconds is not None:
            return self._index.missed_end_seconds
        reached = self.position / self.sample_rate
        cut = self.finished and clearly_short(reached, self.end_seconds)
        return self.end_seconds if cut else None

    def _decoded(self) -> Iterator[Any]:
        while (packet := self._packets.next()) is not None:
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self._corrupt += packet.size > 0
                self._failure = str(error.strerror).lower()
                continue
            self._good += len(frames)
            yield from frames

    def _differs(self, frame: Any) -> bool:
        kind = (frame.sample_rate, frame.layout.nb_channels)
        return kind != (self.sample_rate, self.channels)

    def _estimate(self, frame: Any, otherwise: int) -> int:
        """Return the place of a frame by its time stamp, ``otherwise`` if it has none."""
        if frame.pts is None:
            return otherwise
        return round((frame.pts * self._tick - self._origin) * self.sample_rate)

    def _place(self, frame: Any) -> int | None:
        """Return the exact place of a frame that was gone to, None if it can't be known.

        Time stamps in whole milliseconds (Matroska, FLV …) are rounded, but frames of constant
        length lie on a grid.
        """
        if frame.pts is None or self._differs(frame):
            return None
        near = self._estimate(frame, 0)
        if frame.time_base.denominator % (self.sample_rate * frame.time_base.numerator) == 0:
            return near
        on_grid = self._second + round((near - self._second) / self._unit) * self._unit
        tolerance = 2 * float(frame.time_base) * self.sample_rate
        exact = frame.samples == self._unit and abs(on_grid - near) <= tolerance < self._unit / 2
        return on_grid if exact else None


def _scaled(frame: Any) -> np.ndarray:
    """Return the samples ``(channels, samples)`` of a frame as float32, full scale being 1."""
    channels, samples = frame.layout.nb_channels, frame.samples
    name: str = frame.format.name
    dtype, scale = SAMPLES[name.removesuffix("p")]
    scaled = np.empty((channels, samples), np.float32)
    if name.endswith("p"):
        for i in range(channels):  # PyAV counts planes up to a null pointer, and misses it behind 7
            plane = np.frombuffer(memoryview(AudioPlane(frame, i)), dtype, samples)
            np.divide(plane, scale, out=scaled[i], casting="unsafe")
    else:
        plane = np.frombuffer(memoryview(AudioPlane(frame, 0)), dtype, samples * channels)
        np.divide(plane.reshape(-1, channels).T, scale, out=scaled, casting="unsafe")
    return scaled - 1 if dtype is np.uint8 else scaled
