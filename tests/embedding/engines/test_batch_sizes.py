"""The batch size follows what batches cost, and what fits into memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mmembed.embedding.embed import embed
from mmembed.embedding.engines.batch_sizes import (
    FIRST,
    MOST_BYTES,
    MOST_ON_CPU,
    MOST_VALUES_ON_CPU,
    SIZES,
    BatchSizes,
)
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_picture

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def settled(device: torch.device, seconds: Callable[[int], float]) -> int:
    sizes = BatchSizes(device)
    for _ in range(200):
        size = sizes.size("image")
        sizes.took("image", size, seconds(size))
    return sizes.size("image")


@pytest.mark.parametrize("best", [32, 64, 128, 512])
def test_it_grows_as_long_as_an_item_gets_cheaper(best: int) -> None:
    """A fixed cost a batch up to ``best``, a cost that rises faster than the size from there on."""
    size = settled(GPU, lambda n: 1.0 + 0.0001 * n if n <= best else 1.0 + 0.02 * n)
    assert size == best


def test_a_cpu_is_not_asked_for_large_batches() -> None:
    assert settled(CPU, lambda n: 1.0) == MOST_ON_CPU
    assert settled(CPU, lambda n: 0.01 * n) == FIRST
    assert settled(GPU, lambda n: 1.0) == SIZES[-1]


def test_kinds_are_apart_and_short_batches_tell_nothing() -> None:
    sizes = BatchSizes(GPU)
    for _ in range(100):
        sizes.took("sound", 3, 9.0)
        sizes.took("image", sizes.size("image"), 1.0)
    assert (sizes.size("sound"), sizes.size("image")) == (FIRST, SIZES[-1])


def test_what_did_not_fit_is_never_tried_again() -> None:
    sizes = BatchSizes(GPU)
    sizes.too_large("image", 32)
    for _ in range(100):
        assert sizes.size("image") == 16
        sizes.took("image", 16, 1.0)
    sizes.too_large("image", 16)
    assert sizes.size("image") == 8
    fixed = BatchSizes(CPU, fixed=100)
    fixed.took("image", 100, 1.0)
    assert fixed.size("image") == 100
    fixed.too_large("image", 100)
    assert fixed.size("image") == 50


@pytest.mark.parametrize("seconds", [0.1, 1.0, 10.0, 60.0, 600.0])
@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_batch_holds_a_bounded_amount_however_large_its_items_are(
    device: torch.device, seconds: float
) -> None:
    values = np.zeros(round(16000 * seconds), np.float32)
    sizes, fixed = BatchSizes(device), BatchSizes(device, fixed=100)
    seen = set()
    for _ in range(200):
        sizes.meet("sound", values)
        fixed.meet("sound", values)
        size = sizes.size("sound")
        seen.add(size)
        sizes.took("sound", size, 1.0)
    most = MOST_VALUES_ON_CPU // values.size if device == CPU else MOST_BYTES // values.nbytes
    assert max(seen) <= max(1, most)
    assert max(seen) >= min(most, MOST_ON_CPU)
    assert fixed.size("sound") == 100


def test_a_batch_that_does_not_fit_is_embedded_in_smaller_ones(
    tiny_space_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(80):
        write_picture(tmp_path / f"media/{i:02}.png", i)
    embed(tmp_path / "media", tmp_path / "exact", space=tiny_space_folder, workers=0)
    refused, taken = [], []
    whole = Space.embed_batch

    def small(self: Space, modality: str, values: torch.Tensor, *rest: object) -> np.ndarray:
        if len(values) > 9:
            refused.append(len(values))
            raise torch.OutOfMemoryError("CUDA out of memory")
        taken.append(len(values))
        return whole(self, modality, values, *rest)

    monkeypatch.setattr(Space, "embed_batch", small)
    embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, workers=0)
    assert refused == [32, 16]
    assert len(taken) == 10
    assert len(read_errors(tmp_path / "out")) == 0
    tables = [EmbeddingTable.open(tmp_path / name) for name in ("exact", "out")]
    assert np.abs(tables[0].vectors - tables[1].vectors).max() <= 1e-6
