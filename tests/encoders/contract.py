"""Examples of encoders, and items for them: what the contract of every encoder is held with.

A test of an encoder has a mapping ``EXAMPLES`` of names to :class:`Example`; `test_contract.py`
finds it and holds each to the contract.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import mmembed.encoders
from mmembed.data.batch import collate
from mmembed.encoders.base import Encoder

Item = Callable[[np.random.Generator, int, Encoder], np.ndarray]


@dataclass(frozen=True)
class Example:
    """A small encoder with random weights, and values for it.

    Args:
        make: makes the encoder.
        item: values of one item; the number tells how long, from 0 on.
    """

    make: Callable[[], Encoder]
    item: Item

    def encoder(self) -> Encoder:
        torch.manual_seed(3)
        return self.make().eval()

    def items(
        self, encoder: Encoder, rng: np.random.Generator, sizes: Iterable[int]
    ) -> list[np.ndarray]:
        return [self.item(rng, size, encoder) for size in sizes]


def picture(rng: np.random.Generator, size: int, encoder: Encoder) -> np.ndarray:
    side = encoder.preprocess.size
    return rng.integers(0, 256, (3, side, side), np.uint8)


def sound(rng: np.random.Generator, size: int, encoder: Encoder) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, 1 + 97 * size).astype(np.float32)


def clip(rng: np.random.Generator, size: int, encoder: Encoder) -> np.ndarray:
    side, frames = encoder.preprocess.image.size, encoder.preprocess.frames
    return rng.integers(0, 256, (1 + size % frames, 3, side, side), np.uint8)


def features(encoder: Encoder, items: Sequence[np.ndarray]) -> torch.Tensor:
    """Features ``(items, width)``, each item in a batch of its own bucket, as embedding does it."""
    rows: dict[int, torch.Tensor] = {}
    buckets: dict[int | None, list[int]] = {}
    for number, item in enumerate(items):
        buckets.setdefault(encoder.preprocess.bucket(item), []).append(number)
    with torch.inference_mode():
        for length, members in buckets.items():
            batch = encoder(*collate([items[i] for i in members], length))
            rows |= dict(zip(members, batch, strict=True))
    return torch.stack([rows[number] for number in range(len(items))])


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


def concrete_encoders() -> set[type[Encoder]]:
    """Every encoder of the package, wherever in it."""
    for module in pkgutil.walk_packages(mmembed.encoders.__path__, "mmembed.encoders."):
        importlib.import_module(module.name)
    left, classes = [Encoder], set()
    while left:
        below = left.pop().__subclasses__()
        left += below
        classes |= {kind for kind in below if kind.__module__.startswith("mmembed.")}
    return classes


def examples() -> Mapping[str, Example]:
    """By name, what the tests beside this file are examples of."""
    every: dict[str, Example] = {}
    root = Path(__file__).parents[2]
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        if re.search("^EXAMPLES", path.read_text("utf-8"), re.MULTILINE):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            every |= importlib.import_module(name).EXAMPLES
    return every
