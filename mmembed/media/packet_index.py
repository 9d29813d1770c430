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
from mmembed.media.declared_length import clearly_short, declared_end_seconds
from mmembed.media.file import MediaFile
from mmembed.media.track_index import TrackIndex, TrackNotes, shifts_of

AHEAD_SECONDS = {"mpegts": 10.0, "mpeg": 10.0, "mov": math.inf, "matroska": math.inf}
AHEAD_ELSEWHERE = 60.0
TOLD_PACKETS = 1000
DIGITS = 9  # of seconds, behind the point: what lies below is rounding


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
        begin, end = track.begin_seconds - origin, track.end_seconds - origin
        return round(begin, DIGITS), round(end, DIGITS)

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
        streams = [stream for stream in (pictures, sound) if stream is not None]
        records = [TrackNotes(stream, container) for stream in streams]
        if not records:
            message = "holds neither sound nor pictures that can be decoded. Re-encode it."
            raise MediaError(file.name, stage, message, container.format.name)
        by_stream = {record.stream.index: record for record in records}
        order: list[int] = []
        for packet in _demuxed(container, streams):
            number = packet.stream_index
            by_stream[number].add(packet)
            order.append(number)
            if not len(order) % TOLD_PACKETS and packet.dts is not None:
                progress.report(packet.dts * float(packet.time_base))
        progress.begin_again()
        failure = next((record.failure for record in records if record.failure), "")
        ahead = AHEAD_SECONDS.get(container.format.name.partition(",")[0], AHEAD_ELSEWHERE)
        shifts = shifts_of(by_stream, order, ahead)
        tracks = [r.index(shifts[r.stream.index]) for r in records if r.begin is not None]
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
