"""Supervised contrastive loss: all items of one label or group belong together."""

from __future__ import annotations

from torch import Tensor

from mmembed.training.losses.base import PairLoss, Relation, contrastive, scaled_similarities


class SupervisedContrastive(PairLoss):
    """Every item of the same sample, group or label is a positive; all others are negatives.

    Khosla et al. (2020, arXiv 2004.11362), eq. 2, across two fields; with a pair such as
    ``image-image`` also within one, where an item is never its own positive.
    """

    def forward(self, a: Tensor, b: Tensor, scale: Tensor, relation: Relation) -> Tensor:
        """Return the scalar loss of vectors ``(n, dim)`` and ``(m, dim)``."""
        alike = relation.sample | relation.group | relation.label
        scores = scaled_similarities(a, b, scale)
        return contrastive(scores, alike & ~relation.itself, ~relation.itself)
