"""An encoder of words whose table has a row for each that its preprocess learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmembed.encoders.base import Encoder
from tests.data.word_list import WordPreprocess


class WordEncoder(Encoder):
    """Mean of the words' rows."""

    adopted = 0

    def __init__(self, width: int = 8, preprocess: WordPreprocess | None = None) -> None:
        super().__init__()
        self.width = width
        self.preprocess = preprocess or WordPreprocess()
        self._make_table()

    def _make_table(self) -> None:
        known = self.preprocess.known
        rows = 2 + (len(known) if known else 0)
        self.table = nn.Embedding(rows, self.width, padding_idx=0)

    def adopt(self, preprocess: WordPreprocess) -> None:
        super().adopt(preprocess)
        self.adopted += 1
        self._make_table()

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        weight = torch.ones_like(values) if mask is None else mask
        weight = weight[..., None].to(self.table.weight.dtype)
        return (self.table(values) * weight).sum(1) / weight.sum(1)
