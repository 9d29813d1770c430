"""InfoNCE between two fields, with false negatives masked."""

from __future__ import annotations

from torch import Tensor

from mmembed.training.losses.base import PairLoss, Relation, contrastive, scaled_similarities


class InfoNCE(PairLoss):
    """The other field of the same sample is to be found among the batch.

    The symmetric softmax loss of CPC (van den Oord et al. 2018, arXiv 1807.03748, eq. 4) and CLIP
    (Radford et al. 2021, arXiv 2103.00020). Items of the same group, and with ``mask_labels`` of
    the same label, are no negatives: they are left out of the softmax.

    Args:
        mask_labels: items of one label are not each other's negatives.
    """

    def __init__(self, mask_labels: bool = True) -> None:
        super().__init__()
        self.mask_labels = mask_labels

    def forward(self, a: Tensor, b: Tensor, scale: Tensor, relation: Relation) -> Tensor:
        """Return the scalar loss of vectors ``(n, dim)`` and ``(m, dim)``."""
        return contrastive(scaled_similarities(a, b, scale), *relation.matches(self.mask_labels))
