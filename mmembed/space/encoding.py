"""Values of inputs to vectors, in batches of one padded length and in the order of the inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
from torch import Tensor

from mmembed.data.batch import Buckets, collate
from mmembed.errors import ConfigError, MediaError

OnError = Literal["raise", "skip"]
Bucket = tuple[str, int | None]  # field and padded length
EmbedValues = Callable[[str, Tensor, Tensor | None], np.ndarray]


def vector_sums(
    inputs: Iterable[Iterable[tuple[Bucket, np.ndarray]]],
    embed: EmbedValues,
    dim: int,
    batch_size: int,
    on_error: OnError,
) -> Iterator[np.ndarray]:
    """Yield, for each input, the sum ``(dim,)`` of the vectors of its segments, in order.

    An input is taken from ``inputs`` only when the sums of those before are waited for, or still
    lack values for a whole batch.

    Args:
        inputs: of each input, its segments: bucket and values.
        embed: vectors ``(batch, dim)`` of a field's values and mask.
        dim: dimensions of a vector.
        batch_size: segments a call of ``embed``.
        on_error: ``raise`` at the first input that can't be decoded, or ``skip`` it: its sum is
            NaN, and a warning names it.

    Raises:
        MediaError: an input can't be decoded, and ``on_error`` is ``raise``.
    """
    buckets: Buckets[int] = Buckets(batch_size)
    sums: dict[int, np.ndarray] = {}
    waiting: dict[int, int] = {}  # segments of an input that are not embedded yet
    following = 0

    def add(bucket: Any, batch: list[tuple[int, np.ndarray]]) -> None:
        field, length = bucket
        values, mask = collate([item for _, item in batch], length)
        for (index, _), vector in zip(batch, embed(field, values, mask), strict=True):
            sums[index] = sums[index] + vector
            waiting[index] -= 1

    for index, segments in enumerate(inputs):
        sums[index], waiting[index] = np.zeros(dim, np.float32), 1
        try:
            for bucket, values in segments:
                waiting[index] += 1
                for full, batch in buckets.add(index, bucket, values):
                    add(full, batch)
        except MediaError as error:
            if on_error == "raise":
                raise
            warnings.warn(f"skipped: {error}", stacklevel=2)
            sums[index] = np.full(dim, np.nan, np.float32)
        waiting[index] -= 1
        while waiting.get(following) == 0:
            del waiting[following]
            yield sums.pop(following)
            following += 1
    for full, batch in buckets.flush():
        add(full, batch)
    while following in waiting:
        yield sums.pop(following)
        following += 1


def check_options(batch_size: int, truncate_dim: int | None, on_error: str, dim: int) -> None:
    """Check the options of encoding before anything is decoded.

    Raises:
        ConfigError: one of them is out of range.
    """
    if truncate_dim is not None and not 1 <= truncate_dim <= dim:
        raise ConfigError(f"truncate_dim {truncate_dim}: the space has {dim} dimensions")
    if batch_size < 1:
        raise ConfigError(f"batch_size {batch_size}: must be at least 1")
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error {on_error}: choose raise or skip")


def prefix(vector: np.ndarray, truncate_dim: int | None, normalize: bool) -> np.ndarray:
    """Return the first ``truncate_dim`` dimensions of a vector, of unit length if asked for.

    Kusupati et al. (2022, arXiv 2205.13147) train spaces whose prefixes are spaces themselves.
    """
    vector = vector[:truncate_dim]
    norm = np.linalg.norm(vector)
    return vector / norm if normalize and norm > 0 else vector
