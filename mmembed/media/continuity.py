"""Time stamps of tracks that start again or jump within a file, mended so that they go on.

Transport streams that were joined, recordings of broadcasts and chained Ogg files restart their
clock; all tracks of a file get the same shift there, so that they stay together. Nothing here
knows of files or packets, only of seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

BACK_SECONDS = 1.0  # frames that are shown in another order than stored go back less than this
NEAR_SECONDS = 2.0  # tracks that restart together do so at most this far from one another


@dataclass
class Continuity:
    """The shift of each track's time stamps, packet after packet in the order of the file.

    Args:
        ahead_seconds: a jump further ahead than this, of all tracks, is none of the media;
            infinite where a format can state that nothing is shown for long.

    Attributes:
        end_seconds: the latest end of all packets so far, shifted.
    """

    ahead_seconds: float = math.inf
    _shift: dict[int, float] = field(default_factory=dict)
    _next: dict[int, float] = field(default_factory=dict)
    _newest: float = 0.0
    end_seconds: float = field(default=-math.inf, init=False)

    def shift(self, track: int, stamp: float, duration: float) -> float:
        """Return what is added to the time stamp of a track's next packet.

        Args:
            track: number of the track.
            stamp: when the packet is decoded, in seconds.
            duration: of the packet, in seconds; 0 if it is not known.
        """
        shift = self._shift.get(track, 0.0)
        due = self._next.get(track)
        if due is not None:
            back = stamp + shift < due - BACK_SECONDS
            ahead = stamp + shift > max(due, self.end_seconds) + self.ahead_seconds
            if back or ahead:
                if shift == self._newest or abs(stamp + self._newest - due) > NEAR_SECONDS:
                    self._newest = (max(due, self.end_seconds) if ahead else due) - stamp
                shift = self._newest
        self._shift[track] = shift
        self._next[track] = max(due or -math.inf, stamp + shift + duration)
        self.end_seconds = max(self.end_seconds, self._next[track])
        return shift


def goes_on(stamps: np.ndarray, durations: np.ndarray, ahead_seconds: float) -> bool:
    """Return whether the time stamps of a track neither start again nor jump ahead.

    Args:
        stamps: when each packet is decoded, in seconds ``(packets,)``; NaN where not stored.
        durations: of each packet, in seconds ``(packets,)``; 0 where it is not known.
        ahead_seconds: as of :class:`Continuity`.
    """
    known = ~np.isnan(stamps)
    stamps, due = stamps[known], (stamps + np.maximum(durations, 0))[known]
    due = np.maximum.accumulate(due)[:-1]
    steps = stamps[1:] - due
    return bool((steps >= -BACK_SECONDS).all() and (steps <= ahead_seconds).all())
