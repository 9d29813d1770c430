"""Normalised softmax: each class has a learned direction, and vectors of the class go there."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmembed.errors import ConfigError
from mmembed.training.losses.base import ClassLoss


class NormalizedSoftmax(ClassLoss):
    """The class of a vector is told by its cosine with a learned prototype of each class.

    Zhai and Wu (2019, arXiv 1811.12649), eq. 2: ``-log softmax(vectors @ prototypes.T /
    temperature)`` with prototypes of unit length and no bias. Vectors of an unknown label are left
    out; zero (with a gradient of zero) if no label is known. Where a vector has several labels,
    these count equally, as in Mahajan et al. (2018, arXiv 1805.00932). The prototypes are trained
    with the space and stay out of the saved space.

    Args:
        classes: number of labels, at least as many as the manifest has.
        dim: dimensions of the space.
        temperature: divides the cosines (the paper: 0.05).

    Raises:
        ConfigError: a value that can't be right, or that fits neither space nor manifest.
    """

    def __init__(self, classes: int, dim: int, temperature: float = 0.05) -> None:
        super().__init__()
        if classes < 2:
            raise ConfigError(f"model.class_loss.classes {classes}: needs at least 2 to tell apart")
        if temperature <= 0:
            raise ConfigError(f"model.class_loss.temperature {temperature}: must be above 0")
        self.temperature = temperature
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(classes, dim)))

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of vectors ``(n, dim)`` and codes ``(n,)`` or ``(n, most)``."""
        classes, dim = self.prototypes.shape
        if vectors.shape[1] != dim:
            raise ConfigError(
                f"model.class_loss.dim {dim}: the space has {vectors.shape[1]} dimensions"
            )
        if len(labels) and int(labels.max()) >= classes:
            raise ConfigError(
                f"model.class_loss.classes {classes}: the manifest has more labels than that"
            )
        logits = vectors @ functional.normalize(self.prototypes).T / self.temperature
        if labels.dim() == 1:
            costs = functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
            return costs / (labels >= 0).sum().clamp(min=1)
        known = labels >= 0
        likely = functional.log_softmax(logits, 1).gather(1, labels.clamp(min=0))
        costs = -(likely * known).sum(1) / known.sum(1).clamp(min=1)
        return costs.sum() / known.any(1).sum().clamp(min=1)
