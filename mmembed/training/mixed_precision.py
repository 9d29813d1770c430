"""Mixed precision compared with fp32 while a space trains: vectors, gradients and buffers.

A broken kernel may show in any of them: garbage in the backward pass alone leaves the vectors
right, and a BatchNorm's running variance gets infinite before the loss does.

The bounds are several times what honest bf16 was measured to do, in training mode, with the
encoders of ``configs/avdigits.yaml`` and of the tests, at their start and after some steps:
vectors by up to 0.04 of the median distance, a weight's gradient by 0.1 to 0.45 of its length
(BatchNorm makes much of rounding), buffers by up to 0.012. Two items alone in a BatchNorm move
vectors by up to 0.09, buffers by 0.11, and gradients by their whole length.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmembed.data.batch import Batch
from mmembed.space.reduced_precision import DISTANCE_SHARE, shape_name, vector_error
from mmembed.space.space import Space

COMPARED_ITEMS = 32
AGAIN = 4  # compared when a shape is seen for the 1st, 4th, 16th … time
VECTORS_IN_TRAINING = 0.2  # of the median distance between vectors
GRADIENTS = 0.9  # of the length of a weight's gradient
LEAST_GRADIENT = 0.01  # of the length of all, added to that of each
BUFFERS = 0.3  # of a buffer's length
FEWEST_ITEMS = 4  # gradients through BatchNorm over fewer are mostly rounding


@dataclass
class _Pass:
    """Results of one field's forward and backward pass."""

    vectors: Tensor
    gradients: list[Tensor]
    buffers: list[Tensor]


class MixedPrecision:
    """Lets a space compute under autocast as long as fp32 agrees, and in fp32 from then on.

    Each field and shape is compared when it is seen for the 1st, 4th, 16th … time, in training
    and in evaluation apart, over :data:`COMPARED_ITEMS` items of the batch; an evaluation batch
    also when a vector is not finite. Random numbers, gradients and buffers are left as they were.
    Where autocast is off, nothing is done.

    Args:
        space: the space that trains.

    Attributes:
        disagreement: why everything is computed in fp32; empty as long as nothing disagreed.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._seen: Counter[tuple[bool, str, torch.Size]] = Counter()
        self.disagreement = ""

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Return, by field, the unit vectors ``(items, dim)`` of a batch."""
        for field, values in batch.values.items():
            if self._is_due(field, values):
                self._compare(field, values[:COMPARED_ITEMS], _first(batch.mask[field]))
        vectors = self._embed(batch)
        if torch.is_grad_enabled():  # a step that is not finite is skipped as a whole
            return vectors
        for field, some in vectors.items():
            if self._is_reduced(some) and not bool(some.isfinite().all()):
                self._compare(field, batch.values[field], batch.mask[field])
                vectors = self._embed(batch) if self.disagreement else vectors
        return vectors

    def compare_again(self) -> None:
        """Compare every shape the next time that it is seen."""
        self._seen.clear()

    def _embed(self, batch: Batch) -> dict[str, Tensor]:
        vectors = {}
        for field, values in batch.values.items():
            with _fp32(values) if self.disagreement else nullcontext():
                vectors[field] = self._space.embed(field, values, batch.mask[field])
        return vectors

    def _is_reduced(self, values: Tensor) -> bool:
        return not self.disagreement and torch.is_autocast_enabled(values.device.type)

    def _is_due(self, field: str, values: Tensor) -> bool:
        if not self._is_reduced(values):
            return False
        shape = self._space.training, field, values.shape[1:]
        self._seen[shape] += 1
        return _is_power(self._seen[shape], AGAIN)

    def _compare(self, field: str, values: Tensor, mask: Tensor | None) -> None:
        reduced = self._pass(field, values, mask, nullcontext())
        exact = self._pass(field, values, mask, _fp32(values))
        for part, error, tolerance in _errors(reduced, exact, self._space.training):
            if not error <= tolerance:
                self.disagreement = (
                    f"mixed precision is wrong on this machine for {field} "
                    f"{shape_name(values)}: {part} are {error:.2g} from those in fp32, at most "
                    f"{tolerance:.2g} is right"
                )
                warnings.warn(f"{self.disagreement}; everything goes on in fp32", stacklevel=2)
                return

    def _pass(self, field: str, values: Tensor, mask: Tensor | None, precision: Any) -> _Pass:
        """Run one field alone and leave no trace.

        The gradients are those of the vectors' products with fixed random directions: unlike a
        loss's, they do not cancel out where all vectors are alike.
        """
        towers = nn.ModuleList([self._space.encoders[field], self._space.projections[field]])
        buffers = list(towers.buffers())
        kept = [buffer.clone() for buffer in buffers]
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(len(values), self._space.dim, generator=generator)
        direction = nn.functional.normalize(direction).to(values.device)
        devices = [values.device] if values.device.type == "cuda" else []
        with torch.random.fork_rng(devices), _without_dropout(towers), precision:
            vectors = self._space.embed(field, values, mask)
            gradients: list[Tensor] = []
            if vectors.requires_grad:
                trained = [p for p in towers.parameters() if p.requires_grad]
                product = (vectors * direction).sum()
                given = torch.autograd.grad(product, trained, allow_unused=True)
                gradients = [g for g in given if g is not None]
        moved = [buffer.clone() for buffer in buffers if buffer.is_floating_point()]
        with torch.no_grad():
            for buffer, before in zip(buffers, kept, strict=True):
                buffer.copy_(before)
        return _Pass(vectors.detach(), gradients, moved)


def _errors(reduced: _Pass, exact: _Pass, training: bool) -> Iterator[tuple[str, float, float]]:
    """Yield what is compared, how far it is from fp32, and how far it may be."""
    share = VECTORS_IN_TRAINING if training else DISTANCE_SHARE
    yield "vectors", *vector_error(reduced.vectors, exact.vectors, share)
    tolerance = GRADIENTS if len(exact.vectors) >= FEWEST_ITEMS else math.inf
    yield "gradients", _largest_error(reduced.gradients, exact.gradients, LEAST_GRADIENT), tolerance
    yield "buffers", _largest_error(reduced.buffers, exact.buffers), BUFFERS


def _largest_error(reduced: list[Tensor], exact: list[Tensor], floor: float = 0.0) -> float:
    """Return the largest distance of a tensor from its fp32 value, by the length of that.

    ``floor`` is the share of the length of all that is added to each; NaN stands for a value
    that is finite in fp32 alone.
    """
    if not exact:
        return 0.0
    pairs = list(zip(reduced, exact, strict=True))
    apart = torch.stack([(one - other).norm() for one, other in pairs])
    lengths = torch.stack([other.norm() for other in exact])
    known = lengths.isfinite()
    apart, lengths = apart[known], lengths[known]
    errors = apart / (lengths + floor * lengths.norm()).clamp(min=1e-12)
    return float(errors.max()) if len(errors) else 0.0


@contextmanager
def _without_dropout(towers: nn.Module) -> Iterator[None]:
    """Switch dropout off inside: on GPUs its draws differ from one number type to another."""
    kept = []
    for part in towers.modules():
        name = "p" if isinstance(part, nn.modules.dropout._DropoutNd) else "drop_prob"
        if getattr(part, name, None):
            kept.append((part, name, getattr(part, name)))
            setattr(part, name, 0.0)
    try:
        yield
    finally:
        for part, name, share in kept:
            setattr(part, name, share)


def _fp32(values: Tensor) -> AbstractContextManager[Any]:
    return torch.autocast(values.device.type, enabled=False)


def _first(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask[:COMPARED_ITEMS]


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1
