"""Padding and buckets: every item once, none cut, no batch of two lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmembed.data.batch import Batch, Buckets, collate

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


def test_a_bucket_may_choose_its_own_size() -> None:
    buckets: Buckets[int] = Buckets(lambda bucket: 3 if bucket == "long" else 1)
    item = np.zeros(1)
    assert [b for b, _ in buckets.add(0, "short", item)] == ["short"]
    assert not [*buckets.add(1, "long", item), *buckets.add(2, "long", item)]
    ((bucket, waiting),) = buckets.add(3, "long", item)
    assert bucket == "long"
    assert [key for key, _ in waiting] == [1, 2, 3]
    assert not list(buckets.flush())


@given(LENGTHS, st.integers(1, 8))
def test_items_of_a_bucket_stay_in_their_order(lengths: list[int], size: int) -> None:
    buckets: Buckets[int] = Buckets(size)
    out: dict[object, list[int]] = {}
    for key, length in enumerate(lengths):
        for bucket, items in buckets.add(key, length % 3, np.zeros(length)):
            out.setdefault(bucket, []).extend(k for k, _ in items)
    for bucket, items in buckets.flush():
        out.setdefault(bucket, []).extend(k for k, _ in items)
    assert all(keys == sorted(keys) for keys in out.values())


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int16])
@pytest.mark.parametrize("padded", [None, 7])
def test_values_keep_their_type_and_their_bits(kind: type, padded: int | None) -> None:
    items = [np.arange(n, n + 10, dtype=kind).reshape(5, 2) for n in (0, 3)]
    values, mask = collate(items, padded)
    assert values.numpy().dtype == kind
    for row, item in zip(values, items, strict=True):
        assert np.array_equal(row[:5].numpy(), item)
    assert (mask is None) == (padded is None)


def test_the_items_given_are_copied() -> None:
    item = np.ones(3, np.float32)
    for padded in (None, 5):
        values, _ = collate([item], padded)
        values.zero_()
        assert item.all()


def test_a_batch_starts_empty_and_shares_nothing_with_another() -> None:
    one, other = Batch(), Batch()
    assert len(one) == 0
    one.values["image"] = torch.zeros(1)
    one.failed["a.png"] = "broken"
    assert other.values == {}
    assert other.failed == {}
