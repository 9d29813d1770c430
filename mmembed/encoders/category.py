"""Ids and tags to features: the weighted sum or mean of learned rows of a table."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmembed.encoders.base import Encoder
from mmembed.errors import ConfigError
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.category import SMALLEST_SUM, UNSEEN_ROW, CategoryPreprocess

WIDEST = 8192
EXACT = (torch.float32, torch.float64)  # types that hold the number of every row


class CategoryEncoder(Encoder):
    """Values ``(batch, tags, 2 or 3)``, rows and weight, to features ``(batch, width)``.

    Each tag is a learned row of a table, with hashing the sum of two (Svenstrup et al. 2017,
    arXiv 1709.03933). An item's feature is the weighted sum of its tags, or their mean: the sum
    divided by the sum of the absolute weights. Numeric columns are out of scope, as
    :class:`~mmembed.preprocess.category.CategoryPreprocess` says.

    The row of unseen ids starts as zeros, so that an unknown tag among known ones changes
    nothing but their share. It learns from ids that fewer than ``least_count`` items have, and
    from those that ``unseen_share`` hides.

    Args:
        width: of a row and of the features, up to 8192.
        pooling: ``mean`` or ``sum`` over the tags of an item.
        unseen_share: share of ids taken for unseen in training, in [0, 1).
        dropout: share of features set to zero in training, in [0, 1).
        preprocess: the vocabulary, or the buckets that ids are hashed into.

    Raises:
        ConfigError: an argument out of range, or ``unseen_share`` with hashing, which knows no
            unseen ids.
    """

    preprocess: CategoryPreprocess

    def __init__(
        self,
        width: int = 64,
        pooling: Literal["mean", "sum"] = "mean",
        unseen_share: float = 0.0,
        dropout: float = 0.0,
        preprocess: CategoryPreprocess | None = None,
    ) -> None:
        super().__init__()
        if not (1 <= width <= WIDEST and 0 <= unseen_share < 1 and 0 <= dropout < 1):
            raise ConfigError(
                f"CategoryEncoder: width {width} must be from 1 to {WIDEST:,}, unseen_share "
                f"{unseen_share} and dropout {dropout} at least 0 and less than 1"
            )
        self.preprocess = preprocess or CategoryPreprocess()
        if unseen_share and self.preprocess.buckets:
            raise ConfigError(
                f"CategoryEncoder: unseen_share {unseen_share} needs a vocabulary: with buckets "
                "every id has rows of its own; set it to 0"
            )
        self.width, self.pooling, self.unseen_share = width, pooling, unseen_share
        self.table = _table(self.preprocess.rows, width)
        self.dropout = nn.Dropout(dropout)

    def adopt(self, preprocess: Preprocess) -> None:
        """Take over a fitted preprocess; rows of another vocabulary start anew."""
        vocabulary, buckets = self.preprocess.vocabulary, self.preprocess.buckets
        super().adopt(preprocess)
        if (self.preprocess.vocabulary, self.preprocess.buckets) != (vocabulary, buckets):
            former = self.table.weight
            self.table = _table(self.preprocess.rows, self.width).to(former.device, former.dtype)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features ``(batch, width)`` of rows and weights ``(batch, tags, 2 or 3)``.

        Raises:
            ConfigError: the values are of a type that does not hold the number of every row.
        """
        if values.dtype not in EXACT:
            raise ConfigError(
                f"CategoryEncoder: {values.dtype} can't hold the numbers of rows; train with "
                "precision 32-true or bf16-mixed"
            )
        rows, weights = values[..., :-1].long(), values[..., -1].to(self.table.weight.dtype)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0)
        if self.training and self.unseen_share:
            hidden = torch.rand(weights.shape, device=weights.device) < self.unseen_share
            rows = rows.masked_fill(hidden.unsqueeze(-1), UNSEEN_ROW)
        if self.pooling == "mean":
            weights = weights / weights.abs().sum(1, keepdim=True).clamp(min=SMALLEST_SUM)
        features = functional.embedding_bag(
            rows.flatten(1),
            self.table.weight,
            mode="sum",
            per_sample_weights=weights.unsqueeze(-1).expand(rows.shape).flatten(1),
        )
        return self.dropout(features)


def _table(rows: int, width: int) -> nn.Embedding:
    """Return a table whose rows are about one long, and zeros for padding and the unseen."""
    weight = torch.randn(rows, width).mul_(width**-0.5)
    weight[: UNSEEN_ROW + 1] = 0
    return nn.Embedding.from_pretrained(weight, freeze=False)
