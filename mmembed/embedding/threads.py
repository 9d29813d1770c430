"""How many cores the model gets: one or all, whichever is faster on this machine right now.

The threads of a small model wait for one another longer than they work, all the more when
decoders or other programs want the same cores: all threads can take many times as long as one.
A large model on idle cores gains nearly their number. So both are tried, now and then, on real
batches. The number of threads does not change vectors beyond rounding.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch

WARM_UP = 2
TRIALS = 4
PERIOD = 500
LEAST_GAIN = 1.15


class ThreadChoice:
    """Sets torch's threads around each batch, and everything back as it was when closed.

    Args:
        device: nothing is done unless it is the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._all = torch.get_num_threads()
        self._active = device.type == "cpu" and self._all > 1
        self._batches: dict[Hashable, int] = defaultdict(int)
        self._seconds: dict[tuple[Hashable, int], list[float]] = defaultdict(list)
        self._chosen: dict[Hashable, int] = {}

    def chosen(self, kind: Hashable) -> int:
        """Return the number of threads for batches of one kind, outside of trials."""
        return self._chosen.get(kind, self._all)

    @contextmanager
    def batch(self, kind: Hashable, whole: bool, size: int) -> Iterator[None]:
        """Run a batch inside.

        Args:
            kind: batches of one kind cost about the same for their size.
            whole: others are not compared, they cost more an item.
            size: number of values, padding included.
        """
        if not self._active:
            yield
            return
        turn = self._batches[kind] % PERIOD - WARM_UP
        self._batches[kind] += whole
        trying = whole and 0 <= turn < TRIALS
        threads = (1, self._all)[turn % 2] if trying else self.chosen(kind)
        torch.set_num_threads(threads)
        started = time.perf_counter()
        try:
            yield
        finally:
            torch.set_num_threads(self._all)
        if trying:
            self._seconds[kind, threads].append((time.perf_counter() - started) / size)
        if trying and turn == TRIALS - 1:
            self.choose(kind, self._seconds.pop((kind, 1)), self._seconds.pop((kind, self._all)))

    def choose(self, kind: Hashable, one: list[float], every: list[float]) -> None:
        """Take all threads if they are clearly faster than one, by the best of each's trials."""
        self._chosen[kind] = self._all if min(one) > LEAST_GAIN * min(every) else 1
