"""How many items a forward pass takes: as many as make it faster, and fit into memory.

Vectors do not depend on it. A larger batch keeps a GPU busy; on a CPU it soon only costs memory.
So sizes are tried upwards on real batches, and one that does not fit is never tried again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import torch

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
FIRST = 32
MOST_ON_CPU = 64
IGNORED = 6  # batches before a size counts: warm-up, and the choice of threads
TRIALS = 3
LEAST_GAIN = 1.05


class BatchSizes:
    """The batch size of each kind of item.

    Args:
        device: where the model runs.
        fixed: a size that the user asked for; it is kept, unless it does not fit into memory.
    """

    def __init__(self, device: torch.device, fixed: int | None = None) -> None:
        most = MOST_ON_CPU if device.type == "cpu" else SIZES[-1]
        self._sizes = (fixed,) if fixed else tuple(size for size in SIZES if size <= most)
        self._first = 0 if fixed else self._sizes.index(FIRST)
        self._place: dict[Hashable, int] = defaultdict(lambda: self._first)
        self._most: dict[Hashable, int] = {}
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)
        self._before: dict[Hashable, float] = {}
        self._ignored: dict[Hashable, int] = defaultdict(lambda: IGNORED)
        self._settled: set[Hashable] = set()

    def size(self, kind: Hashable) -> int:
        """Return how many items of one kind to take now."""
        size = self._sizes[self._place[kind]]
        return min(size, self._most.get(kind, size))

    def took(self, kind: Hashable, items: int, seconds: float) -> None:
        """Learn how long a batch took; only whole batches count."""
        if kind in self._settled or items != self.size(kind):
            return
        if self._ignored[kind]:
            self._ignored[kind] -= 1
            return
        trials = self._seconds[kind]
        trials.append(seconds / items)
        if len(trials) < TRIALS:
            return
        now, before = min(trials), self._before.get(kind)
        self._seconds[kind] = []
        if before is not None and before < now * LEAST_GAIN:
            self._place[kind] -= 1
            self._settled.add(kind)
        elif self._place[kind] + 1 < len(self._sizes):
            self._before[kind], self._ignored[kind] = now, 1
            self._place[kind] += 1
        else:
            self._settled.add(kind)

    def too_large(self, kind: Hashable, items: int) -> None:
        """Learn that ``items`` of one kind do not fit into memory."""
        self._most[kind] = max(1, min(items // 2, self._most.get(kind, items)))
        self._settled.add(kind)
