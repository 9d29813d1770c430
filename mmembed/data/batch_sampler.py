"""Order of training batches: samples of similar length together, in another order each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch


class LengthBatchSampler:
    """Batches of sample indices of similar length, in another order each epoch.

    Samples are shuffled, sorted by length within pools of ``pool`` batches, and cut into batches
    whose order is shuffled again; so padding is small and batches stay mixed.

    Args:
        lengths: padded length of each sample.
        batch_size: samples a batch.
        seed: of the order; the order depends on it and on the epoch alone.
        drop_last: leave out the last, shorter batch of an epoch.
        pool: batches that are sorted together.

    Attributes:
        epoch: a tensor in shared memory, so that decode workers see it move.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int = 0,
        drop_last: bool = True,
        pool: int = 8,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.pool = batch_size, seed, pool
        self.drop_last = drop_last and len(lengths) >= batch_size
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()

    @property
    def sampler(self) -> LengthBatchSampler:
        """Itself: where Lightning looks for :meth:`set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of ``epoch``."""
        self.epoch.fill_(epoch)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, int(self.epoch)])
        order = rng.permutation(len(self.lengths))
        if self.drop_last:
            order = order[: len(self) * self.batch_size]
        size = self.pool * self.batch_size
        batches: list[np.ndarray] = []
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        for index in rng.permutation(len(batches)):
            yield batches[index].tolist()
