"""The base of readers of sound: a range of samples after another, forwards, each decoded once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

import numpy as np

from mmembed.media import progress


class SampleReader(ABC):
    """The samples of one track, read forwards; time 0 is that of the file, in silence if need be.

    Attributes:
        sample_rate: in Hz.
        channels: how many there are.
        decoder: the library or codec that decodes.
        position: the sample that is decoded next.
        finished: whether nothing comes after ``position``.
        end_seconds: how long the track is, as far as that is known without decoding it.
    """

    sample_rate: int
    channels: int
    decoder: str
    end_seconds: float

    def __init__(self) -> None:
        self.position = 0
        self.finished = False
        self._blocks: deque[tuple[int, np.ndarray]] = deque()

    @abstractmethod
    def decode_on(self) -> None:
        """Decode a little more: call :meth:`keep`, or set ``finished``."""

    @abstractmethod
    def missed_end_seconds(self) -> float | None:
        """Return the end that headers declare, if the samples clearly stop before it."""

    @abstractmethod
    def go_near(self, sample: int) -> None:
        """Go to a place before ``sample`` if it is far ahead, and can be found."""

    @abstractmethod
    def check(self) -> None:
        """Raise a ``MediaError`` if too much of what was decoded so far is broken."""

    def keep(self, samples: np.ndarray, start: int | None = None) -> None:
        """Take samples ``(channels, samples)`` that begin at ``start``, else at ``position``."""
        start = self.position if start is None else start
        self._blocks.append((start, samples))
        self.position = start + samples.shape[1]

    def read(self, first: int, stop: int | None) -> np.ndarray:
        """Return samples ``(channels, stop - first)``, fewer where the track ends before.

        Args:
            first: no less than in the call before.
            stop: None for all that there is.

        Raises:
            MediaError: they can't be decoded.
        """
        while self._blocks and self._end_of_first <= first:
            self._blocks.popleft()
        self.go_near(first)
        while not self.finished and (stop is None or self.position < stop):
            self.decode_on()
            progress.report(self.position / self.sample_rate)
            while self._blocks and self._end_of_first <= first:
                self._blocks.popleft()
        self.check()
        stop = self.position if stop is None else min(stop, self.position)
        samples = np.zeros((self.channels, max(0, stop - first)), np.float32)
        for start, block in self._blocks:
            begin, end = max(start, first), min(start + block.shape[1], stop)
            if begin < end:
                samples[:, begin - first : end - first] = block[:, begin - start : end - start]
        return samples

    @property
    def _end_of_first(self) -> int:
        start, block = self._blocks[0]
        return start + block.shape[1]
