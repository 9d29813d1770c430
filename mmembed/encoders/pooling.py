"""Masked pooling of a sequence of features to one; knows nothing of where they come from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


def masked_mean(features: Tensor, mask: Tensor) -> Tensor:
    """Return the mean ``(batch, width)`` of features ``(batch, length, width)`` where ``mask``."""
    weight = mask.to(features.dtype).unsqueeze(-1)
    return (features * weight).sum(1) / weight.sum(1).clamp(min=1)


class MeanPooling(nn.Module):
    """Mean of the valid steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, length, width)`` and mask ``(batch, length)``."""
        return masked_mean(features, mask)


class AttentionPooling(nn.Module):
    """Weighted mean of the valid steps; the weights come from a learned query.

    ``softmax(features @ query / sqrt(width))`` over the valid steps, as in the attentive
    pooling of Ilse et al. (2018, arXiv 1802.04712) without the gate.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, length, width)`` and mask ``(batch, length)``."""
        scores = self.norm(features) @ self.query / self.width**0.5
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
        return (weights.unsqueeze(-1) * features).sum(1)


class GRUPooling(nn.Module):
    """Final states of a bidirectional GRU over the valid steps (Cho et al. 2014), projected."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.gru = nn.GRU(width, width // 2 or 1, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * (width // 2 or 1), width)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, length, width)`` and mask ``(batch, length)``."""
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.gru(packed)
        return self.project(state.transpose(0, 1).flatten(1)) + masked_mean(features, mask)


POOLING: dict[str, type[MeanPooling] | type[AttentionPooling] | type[GRUPooling]] = {
    "mean": MeanPooling,
    "attention": AttentionPooling,
    "gru": GRUPooling,
}
