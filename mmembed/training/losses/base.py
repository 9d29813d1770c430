"""What a loss is given, and the arithmetic that contrastive losses share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Relation:
    """How the items of two modalities in a batch belong together.

    Attributes:
        sample: bool ``(n, m)``, true where both are of one sample.
        group: bool ``(n, m)``, true where both are of one known group.
        label: bool ``(n, m)``, true where both have one known label.
        itself: bool ``(n, m)``, true where both are the same item (a modality with itself).
    """

    sample: Tensor
    group: Tensor
    label: Tensor
    itself: Tensor

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
            rows: the sample of each item, of both modalities.
            label: codes ``(samples,)``, -1 where unknown; an unknown one equals nothing.
            group: likewise.
            same_modality: both are the same items.
        """
        first, second = rows[0].unsqueeze(1), rows[1].unsqueeze(0)
        sample = first == second

        def equal(codes: Tensor) -> Tensor:
            return (codes[first] == codes[second]) & (codes[first] >= 0)

        itself = sample if same_modality else torch.zeros_like(sample)
        return cls(sample, equal(group), equal(label), itself)


class Loss(nn.Module, ABC):
    """A loss over the scores of one pair of modalities."""

    @abstractmethod
    def forward(self, scores: Tensor, relation: Relation) -> Tensor:
        """Return the scalar loss.

        Args:
            scores: scaled similarities ``(n, m)``.
            relation: how the items belong together.
        """


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
