"""Batches of items: padding with masks, and buckets of one padded length.

The padded length is a function of the item alone, and a bucket holds items of one padded
length, so that a vector depends on its file and never on its batch. Nothing here knows
encoders or files.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

Key = TypeVar("Key")


@dataclass
class Batch:
    """A training batch: any subset of fields a sample, matched by ``rows``.

    Attributes:
        values: by field, a padded batch ``(items, ...)``.
        mask: by field, bool ``(items, length)``; None where nothing varies.
        rows: by field, the sample index ``(items,)`` that each item belongs to.
        label: class codes ``(samples,)``, -1 where unknown; ``(samples, most)`` where samples may
            have several, filled up with -1.
        group: codes ``(samples,)`` of what is the same thing, -1 where unknown.
        index: which samples of their split these are, ``(samples,)``.
        failed: by name, why a file or cell of this batch could not be decoded.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    mask: dict[str, Tensor | None] = field(default_factory=dict)
    rows: dict[str, Tensor] = field(default_factory=dict)
    label: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    group: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    index: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    failed: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on ``device``."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return Batch(
            {m: moved(v) for m, v in self.values.items()},
            {m: None if v is None else moved(v) for m, v in self.mask.items()},
            {m: moved(v) for m, v in self.rows.items()},
            moved(self.label),
            moved(self.group),
            moved(self.index),
            self.failed,
        )


def collate(items: Sequence[np.ndarray], padded_length: int | None) -> tuple[Tensor, Tensor | None]:
    """Stack items ``(length, ...)``, padded with zeros to ``padded_length``, and their mask.

    Args:
        items: arrays equal in all but their first axis.
        padded_length: at least the longest item; None when all have one shape and no mask is
            needed.

    Returns:
        values ``(batch, padded_length, ...)`` and mask bool ``(batch, padded_length)`` or None.

    Raises:
        ValueError: an item is longer than ``padded_length``.
    """
    if padded_length is None:
        return torch.from_numpy(np.stack(items)), None
    if max(len(item) for item in items) > padded_length:
        raise ValueError(f"an item is longer than padded_length {padded_length}")
    shape = (len(items), padded_length, *items[0].shape[1:])
    values, mask = np.zeros(shape, items[0].dtype), np.zeros(shape[:2], bool)
    for row, item in enumerate(items):
        values[row, : len(item)] = item
        mask[row, : len(item)] = True
    return torch.from_numpy(values), torch.from_numpy(mask)


class Buckets(Generic[Key]):
    """Gathers a stream of items into batches of one bucket each.

    >>> buckets = Buckets(batch_size=32)
    >>> for key, bucket, item in stream:
    ...     yield from buckets.add(key, bucket, item)
    >>> yield from buckets.flush()

    Args:
        batch_size: items a batch, or what tells them from the bucket.
    """

    def __init__(self, batch_size: int | Callable[[Hashable], int]) -> None:
        self._size = batch_size if callable(batch_size) else lambda _: batch_size
        self._waiting: dict[Hashable, list[tuple[Key, np.ndarray]]] = {}

    def add(
        self, key: Key, bucket: Hashable, item: np.ndarray
    ) -> Iterator[tuple[Hashable, list[tuple[Key, np.ndarray]]]]:
        """Take an item in; yield its bucket's batch if that is full now."""
        waiting = self._waiting.setdefault(bucket, [])
        waiting.append((key, item))
        if len(waiting) >= self._size(bucket):
            yield bucket, self._waiting.pop(bucket)

    def flush(self) -> Iterator[tuple[Hashable, list[tuple[Key, np.ndarray]]]]:
        """Yield what waits, a batch a bucket."""
        for bucket in list(self._waiting):
            yield bucket, self._waiting.pop(bucket)
