"""Index of the packets of a sound or video file: where each track begins and ends, and how.

The file is demuxed once, and no more than the first frame of each track is decoded. Lengths come
from the packets alone; what headers declare is kept beside them, to tell a file that was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from mmembed.errors import MediaError, Stage
from mmembed.media import progress
from mmembed.media.container import audio_stream, open_container, video_stream
from mmembed.media.continuity import Continuity
from mmembed.media.declared_length import clearly_short, declared_end_seconds
from mmembed.media.file import MediaFile

AHEAD_SECONDS = {"mpegts": 10.0, "mpeg": 10.0, "mov": math.inf, "matroska": math.inf}
AHEAD_ELSEWHERE = 60.0
TOLD_PACKETS = 1000
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

    @property
    def is_stamped(self) -> bool:
        """Whether every packet says when it is shown or heard."""
        return bool(len(self.stamps)) and not np.isnan(self.stamps).any()

    def number_of(self, packet: Any) -> int | None:
        """Return which packet of the track this one is, by its place and size; None if unsure."""
        if packet.pos is None or packet.pos < 0:
            return None
        same = np.flatnonzero((self.places == packet.pos) & (self.sizes == packet.size))
        return int(same[0]) if len(same) == 1 else None


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """The tracks of a file that are decoded.

    Attributes:
        pictures: the first track with pictures that are no cover art; None if there is none.
        sound: the first track with sound; None if there is none.
        declared: by number of a track, its end as headers declare it, on the container's clock.
        failure: what the decoder said of a track that gives nothing; empty if there is none.
    """

    pictures: TrackIndex | None
    sound: TrackIndex | None
    declared: Mapping[int, float]
    failure: str = ""

    @property
    def origin_seconds(self) -> float:
        """The container's time of the earliest frame or sample of any track: the file's time 0."""
        tracks = (self.pictures, self.sound)
        return min(track.begin_seconds for track in tracks if track is not None)

    def frame_times(self) -> np.ndarray:
        """Return when each picture begins to be shown ``(frames,)``, in order, in seconds."""
        track = self.pictures
        if track is None:
            return np.zeros(0)
        if not track.is_stamped:
            counted = np.arange(len(track.stamps)) * track.frame_seconds
            return counted + track.begin_seconds - self.origin_seconds
        late = track.begin_seconds - track.stamps[0] if track.by_decoding else 0.0
        stamps = np.unique(track.stamps + late)
        return stamps[stamps >= track.begin_seconds - 1e-6] - self.origin_seconds

    def span(self, track: TrackIndex) -> tuple[float, float]:
        """Return when a track begins and ends, on the file's clock."""
        origin = self.origin_seconds
        return track.begin_seconds - origin, track.end_seconds - origin

    @property
    def missed_end_seconds(self) -> float | None:
        """The end that headers declare, on the file's clock; None if the file gets there.

        Tracks of unequal length are usual: each is held against what is said of itself, and the
        one that ends last against what is said of the file.
        """
        for track in (self.pictures, self.sound):
            declared = None if track is None else self.declared.get(track.stream)
            if track is None or declared is None:
                continue
            begin = track.begin_seconds
            if clearly_short(track.end_seconds - begin, declared - begin):
                return declared - self.origin_seconds
        return None


def packet_index(file: MediaFile, stage: Stage = "probe") -> PacketIndex:
    """Return the index of a file, which is read once for it, however often it is asked.

    Raises:
        MediaError: not a container that is known, or without a track that can be decoded.
    """
    if file.index is None:
        file.index = _read(file, stage)
    return file.index


def _read(file: MediaFile, stage: Stage) -> PacketIndex:
    with open_container(file, stage) as container:
        sound, pictures = audio_stream(container), video_stream(container)
        records = [_Track(stream, container) for stream in (pictures, sound) if stream is not None]
        if not records:
            message = "holds neither sound nor pictures that can be decoded. Re-encode it."
            raise MediaError(file.name, stage, message, container.format.name)
        name = container.format.name.partition(",")[0]
        continuity = Continuity(AHEAD_SECONDS.get(name, AHEAD_ELSEWHERE))
        by_stream = {record.stream.index: record for record in records}
        for count, packet in enumerate(_demuxed(container, [r.stream for r in records])):
            by_stream[packet.stream_index].add(packet, continuity)
            if not count % TOLD_PACKETS:
                progress.report(continuity.end_seconds)
        progress.begin_again()
        failure = next((record.failure for record in records if record.failure), "")
        tracks = [record.index() for record in records if record.begin is not None]
        if not tracks:
            message = f"can't be decoded, {failure or 'no frame comes out'}. Re-encode it."
            if all(record.is_empty for record in records):
                message = f"holds no {'samples' if pictures is None else 'frames'}. Leave it out."
            raise MediaError(file.name, stage, message, records[0].decoder)
        last = max(track.end_seconds for track in tracks)
        declared = {}
        for track in tracks:
            stream, times = (
                container.streams[track.stream],
                (track.begin_seconds, track.end_seconds),
            )
            end = declared_end_seconds(container, stream, file, times, times[1] >= last)
            if end is not None:
                declared[track.stream] = end
        kinds = {container.streams[track.stream].type: track for track in tracks}
        return PacketIndex(kinds.get("video"), kinds.get("audio"), declared, failure)


def _demuxed(container: Any, streams: list[Any]) -> Iterator[Any]:
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the file ends in the middle of a packet
            return
        if packet is None:
            return
        yield packet


class _Track:
    """Notes on the packets of one track, taken while the file is demuxed."""

    def __init__(self, stream: Any, container: Any) -> None:
        self.stream = stream
        self.decoder: str = stream.codec_context.codec.name
        self.begin: float | None = None
        self.failure = ""
        self._tick = float(stream.time_base)
        # AVI stores no times of presentation: frames come out in order, one decoding time each
        self._by_decoding = container.format.name == "avi"
        self._stamps: list[float] = []
        self._lengths: list[float] = []
        self._places: list[int] = []
        self._sizes: list[int] = []
        self._keys: list[int] = []
        self._shifts: list[tuple[int, float]] = []
        stream.codec_context.thread_count = 1

    @property
    def is_empty(self) -> bool:
        """Whether there is no packet."""
        return not self._stamps

    def add(self, packet: Any, continuity: Continuity) -> None:
        """Note a packet, and decode it if nothing came out of the track yet."""
        if self.begin is None:
            self._decode(packet)
        if not packet.size and packet.pts is None:  # it only asks the decoder for what it holds
            return
        ticks = packet.duration or 0
        ticks -= 1 << 32 if ticks >= 1 << 31 else 0  # Ogg's last packet may take some back
        number, length = len(self._stamps), ticks * self._tick
        decoded = packet.pts if packet.dts is None else packet.dts
        stamp = decoded if self._by_decoding else packet.pts
        shift = self._shifts[-1][1] if self._shifts else 0.0
        if decoded is not None:
            mended = continuity.shift(self.stream.index, decoded * self._tick, max(0.0, length))
            if mended != shift:
                shift = mended
                self._shifts.append((number, shift))
        self._stamps.append(math.nan if stamp is None else stamp * self._tick + shift)
        self._lengths.append(length)
        self._places.append(-1 if packet.pos is None else packet.pos)
        self._sizes.append(packet.size)
        if packet.is_keyframe and not packet.is_discard:
            self._keys.append(number)

    def index(self) -> TrackIndex:
        """Return what was noted, once the whole file was read."""
        stamps, lengths = np.array(self._stamps), np.array(self._lengths)
        begin, usual = self.begin or 0.0, self._usual_length(stamps, lengths)
        if np.isnan(stamps).any():
            end = begin + len(stamps) * usual
        else:
            end = float((stamps + np.where(lengths == 0, usual, lengths)).max())
            end += begin - stamps[0] if self._by_decoding else 0.0
        return TrackIndex(
            self.stream.index,
            begin,
            max(begin, end),
            stamps,
            np.array(self._places),
            np.array(self._sizes),
            np.array(self._keys, np.int64),
            tuple(self._shifts),
            usual,
            self._by_decoding,
        )

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
