"""The order of training batches: every sample once, similar lengths together, anew each epoch."""

from __future__ import annotations

import multiprocessing

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmembed.data.batch_sampler import LengthBatchSampler

LENGTHS = st.lists(st.integers(0, 50), min_size=1, max_size=60)


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


def test_the_order_of_an_epoch_is_the_same_on_every_machine() -> None:
    sampler = LengthBatchSampler([3, 1, 2, 1, 3, 2, 1, 2], 2, seed=5, pool=2)
    sampler.set_epoch(1)
    rng = np.random.default_rng([5, 1])
    order = rng.permutation(8)
    lengths = np.array([3, 1, 2, 1, 3, 2, 1, 2])
    pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in (order[:4], order[4:])]
    batches = [half.tolist() for pool in pools for half in (pool[:2], pool[2:])]
    assert list(sampler) == [batches[i] for i in rng.permutation(4)]


@given(LENGTHS, st.integers(2, 9), st.integers(0, 5))
def test_an_epoch_may_be_walked_again(lengths: list[int], size: int, epoch: int) -> None:
    sampler = LengthBatchSampler(lengths, size, seed=1)
    sampler.set_epoch(epoch)
    assert list(sampler) == list(sampler)


def test_fewer_samples_than_a_batch_are_one_batch_all_the_same() -> None:
    batches = list(LengthBatchSampler([4, 4, 4], 8))
    assert len(batches) == 1
    assert sorted(batches[0]) == [0, 1, 2]


def _read(epoch: torch.Tensor, asked: object, answers: object) -> None:
    for _ in range(2):
        asked.get()  # type: ignore[attr-defined]
        answers.put(int(epoch))  # type: ignore[attr-defined]


def test_a_decode_worker_sees_the_epoch_move() -> None:
    sampler = LengthBatchSampler([1] * 4, 2)
    context = multiprocessing.get_context("spawn")
    asked, answers = context.SimpleQueue(), context.SimpleQueue()
    worker = torch.multiprocessing.get_context("spawn").Process(
        target=_read, args=(sampler.epoch, asked, answers)
    )
    worker.start()
    seen = []
    for epoch in (3, 7):
        sampler.set_epoch(epoch)
        asked.put(None)
        seen.append(answers.get())
    worker.join(60)
    assert seen == [3, 7]
    assert worker.exitcode == 0


def test_lightning_finds_where_to_set_the_epoch() -> None:
    sampler = LengthBatchSampler([1] * 4, 2)
    sampler.sampler.set_epoch(9)
    assert int(sampler.epoch) == 9
