"""Batch sizes: as many items a forward pass as make it faster, and fit into memory.

Vectors do not depend on it. A larger batch keeps a GPU busy; on a CPU it soon only costs memory.
So sizes are tried upwards on real batches, and one that does not fit is never tried again. What a
batch may hold is bounded, so that a file of many spans takes little more memory than one of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
import torch

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
FIRST = 32
MOST_ON_CPU = 64
# A model on a CPU keeps some 40 to 100 bytes of activations for each value. Eight pictures of
# 224 × 224, or eight spans of ten seconds at 16 kHz, keep its cores as busy as more would.
MOST_VALUES_ON_CPU = 8 * 160_000
MOST_BYTES = 64 << 20  # beside a GPU the values take this twice: as items, and as a batch
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
        self._on_cpu, self._fixed = device.type == "cpu", fixed is not None
        most = MOST_ON_CPU if self._on_cpu else SIZES[-1]
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

    def meet(self, kind: Hashable, values: np.ndarray) -> None:
        """Learn how large an item of one kind is, before it goes into a batch."""
        if self._fixed or not values.size:
            return
        bound, size = (
            (MOST_VALUES_ON_CPU, values.size) if self._on_cpu else (MOST_BYTES, values.nbytes)
        )
        self._most[kind] = max(1, min(bound // size, self._most.get(kind, SIZES[-1])))

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
        elif self._place[kind] + 1 < len(self._sizes) and items == self._sizes[self._place[kind]]:
            self._before[kind], self._ignored[kind] = now, 1
            self._place[kind] += 1
        else:
            self._settled.add(kind)

    def too_large(self, kind: Hashable, items: int) -> None:
        """Learn that ``items`` of one kind do not fit into memory."""
        self._most[kind] = max(1, min(items // 2, self._most.get(kind, items)))
        self._settled.add(kind)
