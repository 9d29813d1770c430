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

WARM_UP = 1
TRIALS = 2  # of each, where the first does not tell
CLEAR = 1.5
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
        self._trials: dict[Hashable, tuple[list[float], list[float]]] = {}
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
        if whole:
            if self._batches[kind] % PERIOD == WARM_UP:
                self._trials[kind] = [], []
            self._batches[kind] += 1
        trial = self._trials.get(kind) if whole else None
        alone = trial is not None and len(trial[1]) < len(trial[0])
        torch.set_num_threads(1 if alone else self._all if trial else self.chosen(kind))
        started = time.perf_counter()
        try:
            yield
        finally:
            torch.set_num_threads(self._all)
        if trial:
            trial[alone].append((time.perf_counter() - started) / size)
            if self.choose(kind, *trial):
                del self._trials[kind]

    def choose(self, kind: Hashable, every: list[float], one: list[float]) -> bool:
        """Take all threads if they are faster than one, by the best of each's trials.

        Args:
            kind: of the batches.
            every: seconds a value with all threads.
            one: seconds a value with one.

        Returns:
            whether the trials tell; more are needed otherwise.
        """
        if len(one) < len(every):
            return False
        gain = min(one) / min(every)
        if len(one) < TRIALS and 1 / CLEAR < gain < CLEAR:
            return False
        self._chosen[kind] = self._all if gain > LEAST_GAIN else 1
        return True
