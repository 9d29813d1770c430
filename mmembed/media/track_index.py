"""Index of one track of a sound or video file: where its packets lie, and when they are due."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import av
import numpy as np

from mmembed.media.continuity import Continuity, goes_on

FRAME_RATE = 25.0  # where neither time stamps nor headers tell one


@dataclass(frozen=True, eq=False)
class TrackIndex:
    """The packets of one track, in the order of the file.

    Times are in seconds of the container's clock, mended where it restarts.

    Attributes:
        stream: number of the track in its container.
        begin_seconds: when its first frame that can be decoded is shown, or its first sample heard.
        end_seconds: when its last one ends.
        stamps: when each packet is shown or heard ``(packets,)``; NaN where that isn't stored.
        places: where each packet lies in the file, in bytes ``(packets,)``; -1 if it isn't known.
        sizes: bytes of each packet ``(packets,)``.
        keys: numbers of the packets that are flagged as key frames.
        shifts: ``(number of a packet, seconds)``: what is added to the stamps from it on.
        frame_seconds: usual time between two packets.
        by_decoding: whether ``stamps`` say when packets are decoded, since nothing else is stored.
    """

    stream: int
    begin_seconds: float
    end_seconds: float
    stamps: np.ndarray
    places: np.ndarray
    sizes: np.ndarray
    keys: np.ndarray
    shifts: tuple[tuple[int, float], ...]
    frame_seconds: float
    by_decoding: bool = False

    @cached_property
    def is_stamped(self) -> bool:
        """Whether every packet says when it is shown or heard."""
        return bool(len(self.stamps)) and not np.isnan(self.stamps).any()

    def number_of(self, packet: Any) -> int | None:
        """Return which packet of the track this one is, by its place and size; None if unsure."""
        if packet.pos is None or packet.pos < 0:
            return None
        same = np.flatnonzero((self.places == packet.pos) & (self.sizes == packet.size))
        return int(same[0]) if len(same) == 1 else None


def shifts_of(
    tracks: Mapping[int, TrackNotes], order: Sequence[int], ahead_seconds: float
) -> dict[int, tuple[tuple[int, float], ...]]:
    """Return what is added to the time stamps of each track, so that they go on.

    Args:
        tracks: by number, what was noted of each.
        order: the number of the track of each packet, in the order of the file.
        ahead_seconds: as of :class:`~mmembed.media.continuity.Continuity`.

    Returns:
        by number of a track, its ``shifts`` as of :class:`TrackIndex`.
    """
    timed = {number: track.decoded() for number, track in tracks.items()}
    if all(goes_on(stamps, lengths, ahead_seconds) for stamps, lengths in timed.values()):
        return dict.fromkeys(tracks, ())
    continuity = Continuity(ahead_seconds)
    shifts: dict[int, list[tuple[int, float]]] = {number: [] for number in tracks}
    counts = Counter[int]()
    for number in order:
        count, (stamps, lengths) = counts[number], timed[number]
        counts[number] += 1
        if count < len(stamps) and not math.isnan(stamps[count]):
            shift = continuity.shift(number, float(stamps[count]), max(0.0, float(lengths[count])))
            if shift != (shifts[number][-1][1] if shifts[number] else 0.0):
                shifts[number].append((count, shift))
    return {number: tuple(each) for number, each in shifts.items()}


class TrackNotes:
    """Notes on the packets of one track, taken while the file is demuxed.

    Attributes:
        stream: the track in the open container.
        decoder: name of its decoder.
        begin: when its first frame is shown, or sample heard, in seconds of the container's clock;
            None while nothing was decoded.
        failure: what the decoder said last; empty if nothing.
    """

    def __init__(self, stream: Any, container: Any) -> None:
        self.stream = stream
        self.decoder: str = stream.codec_context.codec.name
        self.begin: float | None = None
        self.failure = ""
        self._tick = float(stream.time_base)
        # AVI stores no times of presentation: frames come out in order, one decoding time each
        self._by_decoding = container.format.name == "avi"
        self._times: list[tuple[int | None, int | None, int | None]] = []
        self._places: list[tuple[int, int]] = []
        self._keys: list[int] = []
        stream.codec_context.thread_count = 1

    @property
    def is_empty(self) -> bool:
        """Whether there is no packet."""
        return not self._times

    def add(self, packet: Any) -> None:
        """Note a packet, and decode it if nothing came out of the track yet."""
        if self.begin is None:
            self._decode(packet)
        if not packet.size and packet.pts is None:  # it only asks the decoder for what it holds
            return
        if packet.is_keyframe and not packet.is_discard:
            self._keys.append(len(self._times))
        self._times.append((packet.pts, packet.dts, packet.duration))
        self._places.append((-1 if packet.pos is None else packet.pos, packet.size))

    def decoded(self) -> tuple[np.ndarray, np.ndarray]:
        """Return when each packet is decoded, and how long it is, in seconds ``(packets,)``."""
        shown, stored, lengths = self._seconds()
        return np.where(np.isnan(stored), shown, stored), lengths

    def index(self, shifts: tuple[tuple[int, float], ...]) -> TrackIndex:
        """Return what was noted, once the whole file was read.

        Args:
            shifts: what is added to the time stamps, as of :class:`TrackIndex`.
        """
        shown, stored, lengths = self._seconds()
        stamps = np.where(np.isnan(stored), shown, stored) if self._by_decoding else shown
        for first, shift in reversed(shifts):
            stamps[first:] += shift - next((s for n, s in reversed(shifts) if n < first), 0.0)
        begin, usual = self.begin or 0.0, self._usual_length(stamps, lengths)
        if np.isnan(stamps).any():
            end = begin + len(stamps) * usual
        else:
            end = float((stamps + np.where(lengths == 0, usual, lengths)).max())
            end += begin - float(stamps[0]) if self._by_decoding else 0.0
        places = np.array(self._places, np.int64).reshape(-1, 2)
        return TrackIndex(
            self.stream.index,
            begin,
            max(begin, end),
            stamps,
            places[:, 0],
            places[:, 1],
            np.array(self._keys, np.int64),
            shifts,
            usual,
            self._by_decoding,
        )

    def _seconds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return times of presentation, of decoding and lengths; NaN and 0 where not stored."""
        ticks = np.array(self._times, float).reshape(-1, 3)
        lengths = np.nan_to_num(ticks[:, 2])
        lengths = np.where(lengths >= 2**31, lengths - 2**32, lengths)  # Ogg's last may take back
        return ticks[:, 0] * self._tick, ticks[:, 1] * self._tick, lengths * self._tick

    def _decode(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            self.failure = str(error.strerror).lower()
            return
        if frames:
            ticks = frames[0].dts if self._by_decoding else frames[0].pts
            self.begin = 0.0 if ticks is None else float(ticks * frames[0].time_base)

    def _usual_length(self, stamps: np.ndarray, lengths: np.ndarray) -> float:
        if (lengths > 0).any():
            return float(np.median(lengths[lengths > 0]))
        steps = np.diff(np.sort(stamps[~np.isnan(stamps)]))
        if (steps > 0).any():
            return float(np.median(steps[steps > 0]))
        rate = getattr(self.stream, "average_rate", None)
        return float(1 / rate) if rate else 1 / FRAME_RATE
