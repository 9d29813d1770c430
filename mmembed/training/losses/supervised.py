"""Supervised contrastive loss: all items of one label or group belong together."""

from __future__ import annotations

from torch import Tensor

from mmembed.training.losses.base import Loss, Relation, contrastive


class SupervisedContrastive(Loss):
    """Every item of the same sample, group or label is a positive; all others are negatives.

    Khosla et al. (2020, arXiv 2004.11362), eq. 2, across two modalities; with a pair such as
    ``image-image`` also within one, where an item is never its own positive.
    """

    def forward(self, scores: Tensor, relation: Relation) -> Tensor:
        """Return the scalar loss of scores ``(n, m)``."""
        alike = relation.sample | relation.group | relation.label
        return contrastive(scores, alike & ~relation.itself, ~relation.itself)
