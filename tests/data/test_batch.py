"""Padding, buckets and the order of training batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmembed.data.batch import Batch, Buckets, LengthBatchSampler, collate

LENGTHS = st.lists(st.integers(0, 50), min_size=1, max_size=60)


@given(LENGTHS, st.integers(0, 20))
def test_collate_keeps_every_item_and_masks_the_rest(lengths: list[int], extra: int) -> None:
    items = [np.full((n, 2), i + 1, np.float32) for i, n in enumerate(lengths)]
    padded = max(lengths) + extra
    values, mask = collate(items, padded)
    assert values.shape == (len(items), padded, 2)
    assert mask is not None
    assert mask.sum(1).tolist() == lengths
    for row, item in enumerate(items):
        assert np.array_equal(values[row][mask[row]].numpy(), item)
    assert not values[~mask].any()


def test_collate_of_one_shape_needs_no_mask() -> None:
    values, mask = collate([np.zeros((3, 4), np.uint8)] * 2, None)
    assert values.shape == (2, 3, 4)
    assert values.dtype == torch.uint8
    assert mask is None


def test_collate_refuses_to_cut() -> None:
    with pytest.raises(ValueError, match="longer than padded_length 3"):
        collate([np.zeros(4, np.float32)], 3)


@given(LENGTHS, st.integers(1, 8))
def test_buckets_hand_out_every_item_once_and_never_mix(lengths: list[int], size: int) -> None:
    buckets: Buckets[int] = Buckets(size)
    out = []
    for key, length in enumerate(lengths):
        out += list(buckets.add(key, length // 10, np.zeros(length)))
    out += list(buckets.flush())
    assert sorted(key for _, items in out for key, _ in items) == list(range(len(lengths)))
    for bucket, items in out:
        assert len(items) <= size
        assert {len(item) // 10 for _, item in items} == {bucket}
    assert not list(buckets.flush())


@given(LENGTHS, st.integers(1, 9), st.integers(0, 5), st.booleans())
def test_an_epoch_has_every_sample_once(
    lengths: list[int], size: int, epoch: int, drop: bool
) -> None:
    sampler = LengthBatchSampler(lengths, size, seed=3, drop_last=drop)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    seen = [index for batch in batches for index in batch]
    assert len(batches) == len(sampler)
    assert len(set(seen)) == len(seen)
    if drop and len(lengths) >= size:
        assert all(len(batch) == size for batch in batches)
        assert len(lengths) - len(seen) < size
    else:
        assert sorted(seen) == list(range(len(lengths)))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = LengthBatchSampler([0] * 64, 8, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_batches_hold_samples_of_similar_length(rng: np.random.Generator) -> None:
    lengths = rng.integers(1, 1000, 640)
    batches = list(LengthBatchSampler(lengths.tolist(), 16, pool=8))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    shuffled = lengths.reshape(-1, 16)
    assert padded < 1.2 * lengths.sum()
    assert (16 * shuffled.max(1)).sum() > 1.5 * lengths.sum()


def test_a_batch_moves_whole() -> None:
    values = {"image": torch.zeros(2, 3), "audio": torch.zeros(1, 4)}
    mask = {"image": None, "audio": torch.ones(1, 4, dtype=torch.bool)}
    rows = {"image": torch.tensor([0, 1]), "audio": torch.tensor([1])}
    codes = torch.tensor([4, -1])
    batch = Batch(values, mask, rows, codes, codes, torch.tensor([7, 9]), {"a": "b"})
    moved = batch.to("meta")
    assert len(moved) == 2
    tensors = [*moved.values.values(), moved.mask["audio"], *moved.rows.values()]
    tensors += [moved.label, moved.group, moved.index]
    assert all(t is not None and t.device.type == "meta" for t in tensors)
    assert moved.mask["image"] is None
    assert moved.failed == {"a": "b"}
