"""Threads of the model: one or all, whichever is faster while decoders work, and while they rest.

The threads of a small model wait for one another longer than they work, all the more when
decoders or other programs want the same cores: all threads can take many times as long as one.
A large model on idle cores gains nearly their number. So both are tried on real batches, each
for itself while decoders want the cores and while they do not: what is best in the one case says
little of the other. A choice is tried again the sooner the closer it was; that of one thread takes
more trials, and soon another, since a moment's noise looks like it. The number of threads does
not change vectors beyond rounding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import torch

WARM_UP = 1
TRIALS = 2  # of each, where the first does not tell
TRIALS_FOR_ONE = 3  # a core that another program takes for a moment slows all threads down
CLEAR = 1.5
TRIAL_SHARE = 0.01  # of the time, lost to trials of what is slower
SOONEST, LATEST = 8, 500  # batches until the next trial
GAIN_ON_FREE_CORES = 1.05
GAIN_BESIDE_DECODERS = 1.15  # the cores that the model leaves are not lost there


@dataclass
class _Trial:
    """Batches of one kind under one condition, and the threads that they get.

    Attributes:
        least_gain: of all threads over one, from which on all are taken.
        until: batches until the next trial.
        every: seconds a value with all threads, of the trial that goes on.
        one: seconds a value with one thread.
        alone: whether one thread was chosen.
        confirmed: how many trials in a row chose one thread.
    """

    least_gain: float
    until: int = WARM_UP
    every: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    alone: bool = False
    confirmed: int = 0

    @property
    def due(self) -> bool:
        return self.until <= 0

    def add(self, alone: bool, seconds: float) -> None:
        """Take in what a batch of the trial took; choose, if that tells."""
        (self.one if alone else self.every).append(seconds)
        if len(self.one) < len(self.every):
            return
        gain = min(self.one) / max(min(self.every), 1e-12)
        wanted = 1 if gain >= CLEAR else TRIALS if gain >= self.least_gain else TRIALS_FOR_ONE
        if len(self.one) < wanted:
            return
        self.alone = gain < self.least_gain
        self.confirmed = self.confirmed + 1 if self.alone else 0
        lost = max(gain, 1 / max(gain, 1e-12)) - 1
        most = min(SOONEST << self.confirmed, LATEST) if self.alone else LATEST
        self.until = round(min(max(lost / TRIAL_SHARE, SOONEST), most))
        self.every, self.one = [], []


class ThreadChoice:
    """Sets torch's threads around each batch, and everything back as it was when closed.

    Args:
        device: nothing is done unless it is the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._all = torch.get_num_threads()
        self._active = device.type == "cpu" and self._all > 1
        self._trials: dict[tuple[str, bool], _Trial] = {}
        self._batches: dict[str, Counter[int]] = defaultdict(Counter)

    @contextmanager
    def batch(self, kind: str, whole: bool, size: int, cores_free: bool) -> Iterator[None]:
        """Run a batch inside.

        Args:
            kind: batches of one kind cost about the same for their size.
            whole: others are not compared, they cost more an item.
            size: number of values, padding included.
            cores_free: whether the decoders have nothing to do.
        """
        if not self._active:
            yield
            return
        least = GAIN_ON_FREE_CORES if cores_free else GAIN_BESIDE_DECODERS
        trial = self._trials.setdefault((kind, cores_free), _Trial(least))
        tried = whole and trial.due
        alone = len(trial.one) < len(trial.every) if tried else trial.alone
        threads = 1 if alone else self._all
        torch.set_num_threads(threads)
        started = perf_counter()
        try:
            yield
        finally:
            torch.set_num_threads(self._all)
        self._batches[kind][threads] += 1
        if tried:
            trial.add(alone, (perf_counter() - started) / size)
        elif whole:
            trial.until -= 1

    def summary(self) -> list[str]:
        """Return a line a kind: how many batches got how many threads."""
        lines = []
        for kind, counts in sorted(self._batches.items()):
            parts = [f"{n} for {batches:,} batches" for n, batches in counts.most_common()]
            lines.append(f"threads of the model, {kind}: {', '.join(parts)}")
        return lines
