"""Bodies of encoders of sequences: vectors of tokens to vectors of tokens in their context.

Each takes ``(batch, length, width)`` and a mask ``(batch, length)`` whose valid steps come first,
one at least, and gives ``(batch, length, width)``. Steps under the mask change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmembed.errors import ConfigError

KERNEL = 5
LONGEST_WAVE = 10_000.0
BOUNDS = {"width": (1, 8192), "layers": (1, 64), "heads": (1, 128)}


@dataclass(frozen=True)
class TokenBody:
    """The body of an encoder of sequences.

    Args:
        kind: ``transformer`` (Vaswani et al. 2017, arXiv 1706.03762, with norms before the blocks
            and sines for positions), ``gru`` or ``lstm`` in both directions, or ``conv``
            (residual convolutions over 5 steps).
        width: of each step.
        layers: one after the other.
        heads: of a transformer's attention.
        dropout: share of values that are left out in training.

    Raises:
        ConfigError: an argument out of bounds, or a width that can't be split.
    """

    kind: Literal["transformer", "gru", "lstm", "conv"] = "transformer"
    width: int = 256
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in BODIES:
            raise ConfigError(f"TokenBody: kind {self.kind} is none of {', '.join(BODIES)}")
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"TokenBody: {name} {value} must be from {least} to {most:,}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"TokenBody: dropout {self.dropout} must be from 0 to below 1")
        parts = {"transformer": self.heads, "conv": 1}.get(self.kind, 2)
        if self.width % parts:
            halves = "heads" if self.kind == "transformer" else "directions"
            raise ConfigError(
                f"TokenBody: width {self.width} can't be split over {parts} {halves}; make it a "
                f"multiple of {parts}"
            )

    def build(self) -> nn.Module:
        """Return the module, with random weights."""
        return BODIES[self.kind](self)


class Transformer(nn.Module):
    """Blocks of self-attention and two linear layers, each after a norm, and a norm in the end."""

    def __init__(self, body: TokenBody) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(body) for _ in range(body.layers))
        self.norm = nn.LayerNorm(body.width)
        self.dropout = nn.Dropout(body.dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, length, width)`` of steps and their mask."""
        steps = self.dropout(steps + sines(steps))
        for block in self.blocks:
            steps = block(steps, mask)
        return self.norm(steps)


class _Block(nn.Module):
    def __init__(self, body: TokenBody) -> None:
        super().__init__()
        width = body.width
        self.heads, self.share = body.heads, body.dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(body.dropout),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(body.dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        steps = steps + self.dropout(self._attention(self.before_attention(steps), mask))
        return steps + self.dropout(self.mlp(self.before_mlp(steps)))

    def _attention(self, steps: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = steps.shape
        joined = self.queries_keys_values(steps).view(batch, length, 3, self.heads, -1)
        queries, keys, values = joined.permute(2, 0, 3, 1, 4)
        share = self.share if self.training else 0.0
        mixed = scaled_dot_product_attention(queries, keys, values, mask[:, None, None], share)
        return self.project(mixed.transpose(1, 2).reshape(batch, length, width))


class Recurrent(nn.Module):
    """A GRU (Cho et al. 2014, arXiv 1406.1078) or LSTM (Hochreiter and Schmidhuber 1997).

    It reads the valid steps in both directions, half of the width each.
    """

    def __init__(self, body: TokenBody) -> None:
        super().__init__()
        kind: type[nn.GRU] | type[nn.LSTM] = nn.GRU if body.kind == "gru" else nn.LSTM
        self.dropout = nn.Dropout(body.dropout)
        self.recurrent = kind(
            body.width,
            body.width // 2,
            body.layers,
            batch_first=True,
            bidirectional=True,
            dropout=body.dropout if body.layers > 1 else 0.0,
        )

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, length, width)`` of steps and their mask."""
        lengths = mask.sum(1).cpu()
        packed = pack_padded_sequence(
            self.dropout(steps), lengths, batch_first=True, enforce_sorted=False
        )
        read, _ = self.recurrent(packed)
        return pad_packed_sequence(read, batch_first=True, total_length=mask.shape[1])[0]


class Convolution(nn.Module):
    """Residual convolutions over the steps; beside the valid ones there are zeros."""

    def __init__(self, body: TokenBody) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(body.width) for _ in range(body.layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(body.width, body.width, KERNEL, padding=KERNEL // 2)
            for _ in range(body.layers)
        )
        self.norm = nn.LayerNorm(body.width)
        self.dropout = nn.Dropout(body.dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, length, width)`` of steps and their mask."""
        valid = mask.unsqueeze(-1)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            seen = norm(steps).masked_fill(~valid, 0.0).transpose(1, 2)
            mixed = nn.functional.gelu(convolution(seen)).transpose(1, 2)
            steps = steps + self.dropout(mixed)
        return self.norm(steps)


def sines(steps: Tensor) -> Tensor:
    """Return positions as sines and cosines, ``(length, width)``, of steps of that shape."""
    length, width = steps.shape[1:]
    position = torch.arange(length, device=steps.device, dtype=torch.float32).unsqueeze(1)
    rates = torch.arange(0, width, 2, device=steps.device, dtype=torch.float32)
    angles = position * torch.exp(rates * (-math.log(LONGEST_WAVE) / width))
    both = torch.stack([angles.sin(), angles.cos()], dim=-1)
    return both.flatten(1)[:, :width].to(steps.dtype)


BODIES: dict[str, Callable[[TokenBody], nn.Module]] = {
    "transformer": Transformer,
    "gru": Recurrent,
    "lstm": Recurrent,
    "conv": Convolution,
}
