"""Base classes of losses, the relation between items, and the softmax loss that losses share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Relation:
    """Relation between the items of two fields in a batch: which of them belong together.

    Attributes:
        sample: bool ``(n, m)``, true where both are of one sample.
        group: bool ``(n, m)``, true where both are of one known group.
        label: bool ``(n, m)``, true where both have one known label, or share one of several.
        itself: bool ``(n, m)``, true where both are the same item (a field with itself).
        grades: float ``(n, m)``, the relevance of each to each, at least 0; None where nobody
            graded them.
    """

    sample: Tensor
    group: Tensor
    label: Tensor
    itself: Tensor
    grades: Tensor | None = None

    @classmethod
    def of(
        cls,
        rows: tuple[Tensor, Tensor],
        label: Tensor,
        group: Tensor,
        same_modality: bool = False,
    ) -> Relation:
        """Compare items by their samples' rows ``(n,)`` and ``(m,)``, labels and groups.

        Args:
            rows: the sample of each item, of both fields.
            label: codes ``(samples,)``, or ``(samples, most)`` of several, -1 where unknown; an
                unknown one equals nothing.
            group: likewise.
            same_modality: both are the same items.
        """
        first, second = rows[0].unsqueeze(1), rows[1].unsqueeze(0)
        sample = first == second

        def equal(codes: Tensor) -> Tensor:
            if codes.dim() > 1:
                return _share_a_code(codes[rows[0]], codes[rows[1]])
            return (codes[first] == codes[second]) & (codes[first] >= 0)

        itself = sample if same_modality else torch.zeros_like(sample)
        return cls(sample, equal(group), equal(label), itself)

    def matches(self, mask_labels: bool) -> tuple[Tensor, Tensor]:
        """Return the positives, and all that may be compared: positives and true negatives.

        Both are bool ``(n, m)``. Items of one group, and with ``mask_labels`` of one label, are no
        negatives of each other; an item is never compared with itself.
        """
        alike = self.group | self.label if mask_labels else self.group
        positive = self.sample & ~self.itself
        return positive, (positive | ~alike) & ~self.itself


def _share_a_code(first: Tensor, second: Tensor) -> Tensor:
    """Return whether each of ``(n, most)`` codes has one in common with each of ``(m, most)``."""
    known, place = torch.unique(torch.cat([first, second]), return_inverse=True)
    held = torch.zeros(len(place), len(known), device=first.device).scatter_(1, place, 1.0)
    held[:, known < 0] = 0
    return held[: len(first)] @ held[len(first) :].T > 0


class PairLoss(nn.Module, ABC):
    """A loss of the vectors of two fields; it may have parameters of its own, trained with all."""

    @abstractmethod
    def forward(self, a: Tensor, b: Tensor, scale: Tensor, relation: Relation) -> Tensor:
        """Return the scalar loss.

        Args:
            a: unit vectors ``(n, dim)`` of the first field.
            b: unit vectors ``(m, dim)`` of the second field.
            scale: the learned factor of similarities, a scalar (the inverse temperature).
            relation: which items belong together, ``(n, m)``.
        """


class ClassLoss(nn.Module, ABC):
    """A loss of the vectors of one field and the labels of their samples."""

    @abstractmethod
    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            vectors: unit vectors ``(n, dim)``.
            labels: codes ``(n,)``, -1 where unknown; ``(n, most)`` where samples may have several,
                filled up with -1.
        """


def scaled_similarities(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Return ``scale`` times the cosine of each of ``a`` ``(n, dim)`` and ``b`` ``(m, dim)``."""
    return scale * a @ b.T


def contrastive(scores: Tensor, positive: Tensor, kept: Tensor) -> Tensor:
    """Return the mean of both directions of the softmax loss with many positives.

    A row's loss is ``-mean over its positives of log softmax over what is kept``; rows without
    a positive count nothing. Zero (with a gradient of zero) if no row has one.

    Args:
        scores: ``(n, m)``.
        positive: bool ``(n, m)``, a part of ``kept``.
        kept: bool ``(n, m)``: what the softmax runs over.
    """
    scores = scores.masked_fill(~kept, torch.finfo(scores.dtype).min)
    terms = []
    for axis in (1, 0):
        likely = scores - scores.logsumexp(axis, keepdim=True)
        count = positive.sum(axis)
        each = -(likely * positive).sum(axis) / count.clamp(min=1)
        has = count > 0
        terms.append((each * has).sum() / has.sum().clamp(min=1))
    return (terms[0] + terms[1]) / 2
