"""Sigmoid loss: every pair of items is a yes-or-no question of its own, with a learned bias."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmembed.training.losses.base import PairLoss, Relation, scaled_similarities


class SigLIP(PairLoss):
    """The other field of the same sample is told from each other item by a sigmoid.

    SigLIP (Zhai et al. 2023, arXiv 2303.15343, eq. 1 and algorithm 1): the sum over all pairs of
    ``-log sigmoid(z * (scale * a @ b.T + bias))`` with ``z`` 1 for items of one sample and -1 for
    others, divided by the number of items of a field (the mean of both). The bias is learned; it
    starts at -10, since nearly all pairs are negatives. The paper starts with a scale of 10, which
    is ``model.temperature: 0.1``. Items of the same group, and with ``mask_labels`` of the same
    label, are no negatives: they are left out.

    Args:
        mask_labels: items of one label are not each other's negatives.
        bias: start of the learned bias.
    """

    def __init__(self, mask_labels: bool = True, bias: float = -10.0) -> None:
        super().__init__()
        self.mask_labels = mask_labels
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self, a: Tensor, b: Tensor, scale: Tensor, relation: Relation) -> Tensor:
        """Return the scalar loss of vectors ``(n, dim)`` and ``(m, dim)``."""
        positive, compared = relation.matches(self.mask_labels)
        logits = scaled_similarities(a, b, scale) + self.bias
        costs = -functional.logsigmoid(torch.where(positive, logits, -logits))
        return 2 * (costs * compared).sum() / (len(a) + len(b))
