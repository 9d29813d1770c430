"""Vectors of an Arrow column as an array, every row at its place whatever others hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

STORED, MISSING, OTHER_LENGTH = 0, 1, 2
SHORTEST = 1e-12  # a vector that is shorter has no direction
BLOCK_ROWS = 1 << 14


class VectorBlock(NamedTuple):
    """Vectors of some rows.

    Attributes:
        vectors: float32 ``(rows, dim)``; a row of NaN where none of ``dim`` numbers is stored.
        lack: uint8 ``(rows,)``: :data:`STORED`, or why there is none: :data:`MISSING` (null) or
            :data:`OTHER_LENGTH`.
    """

    vectors: np.ndarray
    lack: np.ndarray


def read_vectors(column: pa.ChunkedArray, dim: int) -> VectorBlock:
    """Return the vectors of a column, a row of the array for each of the column.

    A number that is null inside a vector becomes NaN; numbers of 16 or 64 bits become float32.

    Args:
        column: lists of floats, of any of Arrow's types.
        dim: numbers of a vector.
    """
    blocks = [_read(chunk, dim) for chunk in column.chunks]
    if len(blocks) == 1:
        return blocks[0]
    vectors = [np.empty((0, dim), np.float32), *(block.vectors for block in blocks)]
    lacks = [np.empty(0, np.uint8), *(block.lack for block in blocks)]
    return VectorBlock(np.concatenate(vectors), np.concatenate(lacks))


def with_direction(vectors: np.ndarray) -> np.ndarray:
    """Return which vectors ``(rows,)`` of ``(rows, dim)`` can be compared: finite and not zero."""
    blocks = (vectors[low : low + BLOCK_ROWS] for low in range(0, len(vectors), BLOCK_ROWS))
    lengths = [np.linalg.norm(block.astype(np.float64), axis=1) for block in blocks]
    joined = np.concatenate([np.empty(0), *lengths])
    return np.isfinite(joined) & (joined >= SHORTEST)


def _read(chunk: pa.Array, dim: int) -> VectorBlock:
    if isinstance(chunk, pa.ExtensionArray):
        chunk = chunk.storage
    alike = pc.equal(pc.list_value_length(chunk), dim)  # null where the list is
    whole = pc.fill_null(alike, False)
    lack = np.zeros(len(chunk), np.uint8)
    if pc.all(whole, min_count=0).as_py():
        return VectorBlock(_numbers(chunk, dim), lack)
    which = whole.to_numpy(zero_copy_only=False)
    vectors = np.full((len(chunk), dim), np.nan, np.float32)
    vectors[which] = _numbers(chunk.filter(whole), dim)
    lack[~which] = OTHER_LENGTH
    lack[chunk.is_null().to_numpy(zero_copy_only=False)] = MISSING
    return VectorBlock(vectors, lack)


def _numbers(lists: pa.Array, dim: int) -> np.ndarray:
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # what float32 can't hold is infinite
        return flat.astype(np.float32, copy=False).reshape(len(lists), dim)
