"""Texts to features: a table of tokens → transformer, GRU, LSTM or convolution → masked pooling."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmembed.encoders.base import Encoder
from mmembed.encoders.pooling import POOLING
from mmembed.encoders.token_bodies import BOUNDS, TokenBody
from mmembed.encoders.word_vectors import VectorFile
from mmembed.errors import ConfigError
from mmembed.errors.plain_text import say
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.text import TextPreprocess
from mmembed.preprocess.tokenizer import UNKNOWN, Tokenizer

PADDING_ROW = 0  # of every tokenizer


class TextEncoder(Encoder):
    """Values ``(batch, tokens)`` of int64 to features ``(batch, width)``.

    Args:
        body: what puts the tokens in their context, and its width.
        embedding_dim: width of the table of tokens; None takes that of ``vectors``, or the body's.
        vectors: a file of word vectors that the table starts from, in the text form of GloVe or
            word2vec. It is read once, and no saved space names it.
        tune_vectors: whether the table is trained. If not, tokens that the file lacks have the
            mean of those that it holds.
        pooling: ``mean``, ``attention`` or ``gru`` over the tokens.
        unseen_share: share of tokens taken for the unknown one in training, in [0, 1) (word
            dropout, Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods"). Of
            texts all of whose words are known the unknown token learns nothing else, and a new
            word would be noise.
        preprocess: tokenizer, segments and padding.

    Raises:
        ConfigError: an argument out of bounds, or ``vectors`` can't be read, is of another width
            or has none of the tokens.
    """

    preprocess: TextPreprocess

    def __init__(
        self,
        body: TokenBody | None = None,
        embedding_dim: int | None = None,
        vectors: Path | None = None,
        tune_vectors: bool = True,
        pooling: Literal["mean", "attention", "gru"] = "mean",
        unseen_share: float = 0.0,
        preprocess: TextPreprocess | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= unseen_share < 1:
            raise ConfigError(
                f"TextEncoder: unseen_share {unseen_share} must be at least 0 and less than 1"
            )
        self.unseen_share = unseen_share
        self.body = body or TokenBody()
        self.preprocess = preprocess or TextPreprocess()
        self.width = self.body.width
        self._vectors = None if vectors is None else VectorFile.open(vectors)
        dim = self._table_width(embedding_dim)
        self._arguments |= {"embedding_dim": dim, "vectors": None}
        self.tune_vectors = tune_vectors
        self.table = nn.Embedding(self._rows(), dim, padding_idx=0)
        self.table.weight.requires_grad_(tune_vectors)
        self.project = nn.Identity() if dim == self.width else nn.Linear(dim, self.width)
        self.context = self.body.build()
        self.pooling = POOLING[pooling](self.width)
        if self.preprocess.is_fitted:
            self._look_over()

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return features ``(batch, width)`` of tokens ``(batch, length)``."""
        if mask is None:
            mask = torch.ones_like(values, dtype=torch.bool)
        first = torch.arange(values.shape[1], device=values.device) == 0
        mask = mask | (first & ~mask.any(1, keepdim=True))  # a row of padding is one of padding
        if self.training and self.unseen_share:
            hidden = torch.rand(values.shape, device=values.device) < self.unseen_share
            values = values.masked_fill(hidden & (values != PADDING_ROW), self._unknown_row())
        steps = self.context(self.project(self.table(values)), mask)
        return self.pooling(steps, mask)

    def adopt(self, preprocess: Preprocess) -> None:
        """Take over the fitted preprocess: the table gets a row a token, from ``vectors`` if given.

        Raises:
            ConfigError: as when the encoder is made.
        """
        super().adopt(preprocess)
        rows, dim = self._rows(), self.table.embedding_dim
        if rows != self.table.num_embeddings:
            weight = self.table.weight
            self.table = nn.Embedding(
                rows, dim, padding_idx=0, device=weight.device, dtype=weight.dtype
            )
            self.table.weight.requires_grad_(self.tune_vectors)
        self._look_over()

    def _look_over(self) -> None:
        """Take what the fitted preprocess allows: the unknown token, and vectors of its words."""
        if self.unseen_share:
            self._unknown_row()
        self._take_vectors()

    def _unknown_row(self) -> int:
        tokenizer = self.preprocess.tokenizer
        row = tokenizer.numbers.get(UNKNOWN) if isinstance(tokenizer, Tokenizer) else None
        if row is None:
            raise ConfigError(
                f"TextEncoder: unseen_share {self.unseen_share} needs a tokenizer with the token "
                f"{UNKNOWN}"
            )
        return row

    def _rows(self) -> int:
        tokenizer = self.preprocess.tokenizer
        return tokenizer.size if isinstance(tokenizer, Tokenizer) else self.preprocess.vocabulary

    def _table_width(self, wanted: int | None) -> int:
        of_file = self._vectors.dim if self._vectors else None
        width = (of_file or self.width) if wanted is None else wanted
        if self._vectors and of_file != width:
            raise ConfigError(
                f"TextEncoder: embedding_dim {width}, but {self._vectors.path} has vectors of "
                f"{of_file}. Leave embedding_dim out."
            )
        least, most = BOUNDS["width"]
        if not least <= width <= most:
            raise ConfigError(
                f"TextEncoder: embedding_dim {width} must be from {least} to {most:,}"
            )
        return width

    def _take_vectors(self) -> None:
        """Start the table from the file of vectors, once."""
        tokenizer, file = self.preprocess.tokenizer, self._vectors
        if file is None or not isinstance(tokenizer, Tokenizer):
            return
        words = tokenizer.words()
        held = file.read({*words, *(word.lower() for word in words)})
        rows = {
            number: vector
            for word, number in words.items()
            if (vector := held.get(word, held.get(word.lower()))) is not None
        }
        if not rows:
            raise ConfigError(f"{file.path}: has no vector of any of {len(words):,} words")
        known = torch.from_numpy(np.stack(list(rows.values()))).to(self.table.weight)
        with torch.no_grad():
            weight = self.table.weight
            if self.tune_vectors:
                weight.mul_(known.std(correction=0)).add_(known.mean(0))
            else:
                weight.copy_(known.mean(0))
            weight[torch.tensor(list(rows), device=weight.device)] = known
            weight[0] = 0.0
        say(f"{file.path}: vectors of {len(rows):,} of {len(words):,} words", sys.stderr)
        self._vectors = None
