"""Vectors in bf16 compared with fp32: on some machines a bf16 kernel returns garbage.

On Intel CPUs with AMX, torch 2.14.1 (oneDNN 3.12) leaves part of the output of a convolution
unwritten where it is one column wide. Such a fault depends on the shape, and memory that was
never written is right by luck now and then. So batches are compared by modality and padded
length, in every run, again and again; no verdict is kept for another run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmembed.space.space_json import Precision

DISTANCE_SHARE = 0.05  # of the median distance between the fp32 vectors of a batch
ROUNDING = 2**-5  # unit vectors of random encoders, all close to each other: honest bf16 is in this
MOST_BETWEEN = 128  # batches of one padded length
COMPARED = 256  # vectors whose distances are taken

Embed = Callable[[str, Tensor, Tensor | None, Precision], np.ndarray]


def vector_error(
    reduced: Tensor, exact: Tensor, distance_share: float = DISTANCE_SHARE
) -> tuple[float, float]:
    """Return the largest distance of a vector from its fp32 value, and the largest that is right.

    The bound is ``distance_share`` of the median distance between the fp32 vectors, or
    :data:`ROUNDING` if that is more; a vector alone counts as if its neighbours were at 1.

    Args:
        reduced: unit vectors ``(items, dim)`` in reduced precision.
        exact: the same in fp32; rows that are not finite here are left out.
        distance_share: share of the median distance.
    """
    known = exact.isfinite().all(dim=1)
    reduced, exact = reduced[known].float(), exact[known].float()
    median = float(torch.pdist(exact[:COMPARED]).median()) if len(exact) > 1 else 1.0
    tolerance = max(distance_share * median, ROUNDING)
    error = float((reduced - exact).norm(dim=1).max()) if len(exact) else 0.0
    return (error if math.isfinite(error) else math.inf), tolerance


def shape_name(values: Tensor) -> str:
    """Return the shape of one item of a batch, such as ``3×28×28``."""
    return "×".join(map(str, values.shape[1:]))


@dataclass
class _Wrong:
    """A modality whose vectors in bf16 are not used any more."""

    sentence: str
    unchecked: int
    replaced: int = 0


class PrecisionCheck:
    """Embeds in bf16 as long as fp32 agrees, and in fp32 from the first batch where it does not.

    Batches number 1, 2, 4, 8 … of each modality and padded length are computed in both, at least
    one in :data:`MOST_BETWEEN`, and so is every batch with a vector that is not finite. Where
    they disagree, the modality goes on in fp32, this batch included.

    Args:
        embed_batch: :meth:`mmembed.space.space.Space.embed_batch` of a space in evaluation mode.
        precision: what was asked for; nothing is done unless it is reduced.
        say: called with a line when a modality goes on in fp32.
    """

    def __init__(
        self, embed_batch: Embed, precision: Precision, say: Callable[[str], None]
    ) -> None:
        self._embed_batch, self._precision, self._say = embed_batch, precision, say
        self._batches: Counter[tuple[str, torch.Size]] = Counter()
        self._unchecked: Counter[str] = Counter()
        self._wrong: dict[str, _Wrong] = {}

    def precision(self, modality: str) -> Precision:
        """Return what batches of ``modality`` are to be computed in."""
        return "fp32" if modality in self._wrong else self._precision

    def embed(self, modality: str, values: Tensor, mask: Tensor | None) -> np.ndarray:
        """Return unit vectors ``(batch, dim)`` of float32 that are right."""
        vectors = self._embed_batch(modality, values, mask, self.precision(modality))
        return self.checked(modality, values, mask, vectors)

    def checked(
        self, modality: str, values: Tensor, mask: Tensor | None, vectors: np.ndarray
    ) -> np.ndarray:
        """Return ``vectors`` of a batch, computed in :meth:`precision`, or in fp32 if wrong."""
        if modality in self._wrong:
            self._wrong[modality].replaced += len(vectors)
        if self.precision(modality) == "fp32":
            return vectors
        shape = modality, values.shape[1:]
        self._batches[shape] += 1
        count = self._batches[shape]
        due = count & (count - 1) == 0 or count % MOST_BETWEEN == 0
        if not due and np.isfinite(vectors).all():
            self._unchecked[modality] += len(vectors)
            return vectors
        exact = self._embed_batch(modality, values, mask, "fp32")
        error, tolerance = vector_error(torch.from_numpy(vectors), torch.from_numpy(exact))
        if error <= tolerance:
            return vectors
        sentence = (
            f"{self._precision} is wrong on this machine for {modality} {shape_name(values)}: "
            f"vectors are {error:.2g} from those in fp32, at most {tolerance:.2g} is right"
        )
        self._wrong[modality] = _Wrong(sentence, self._unchecked[modality], len(vectors))
        self._say(f"{sentence}; {modality} goes on in fp32")
        return exact

    def notes(self) -> list[str]:
        """Return a line for each modality that went on in fp32."""
        return [_note(modality, wrong) for modality, wrong in sorted(self._wrong.items())]


def _note(modality: str, wrong: _Wrong) -> str:
    note = f"{wrong.sentence}; {wrong.replaced:,} {modality} vectors were computed in fp32"
    if wrong.unchecked:
        note += (
            f"; {wrong.unchecked:,} before them were not compared: for them, embed into another "
            "folder in fp32"
        )
    return note
