"""The model gets the threads that are faster, and little is spent on finding out."""

from __future__ import annotations

import time

import pytest
import torch

from mmembed.embedding.threads import PERIOD, ThreadChoice


@pytest.fixture(autouse=True)
def two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def used(choice: ThreadChoice, batches: int, milliseconds: dict[int, float]) -> list[int]:
    """Run batches that take as long as their number of threads says; return those numbers."""
    found = []
    for _ in range(batches):
        with choice.batch("image", True, 100):
            found.append(torch.get_num_threads())
            time.sleep(milliseconds[found[-1]] / 1e3)
        assert torch.get_num_threads() == 2
    return found


def test_a_clear_gain_costs_one_batch() -> None:
    choice = ThreadChoice(torch.device("cpu"))
    assert used(choice, 8, {1: 30, 2: 10}) == [2, 2, 1, 2, 2, 2, 2, 2]
    choice = ThreadChoice(torch.device("cpu"))
    assert used(choice, 6, {1: 10, 2: 30}) == [2, 2, 1, 1, 1, 1]


def test_a_small_gain_is_tried_twice() -> None:
    choice = ThreadChoice(torch.device("cpu"))
    assert used(choice, 7, {1: 20, 2: 20}) == [2, 2, 1, 2, 1, 1, 1]


def test_a_choice_is_tried_again_now_and_then() -> None:
    choice = ThreadChoice(torch.device("cpu"))
    used(choice, 4, {1: 2, 2: 20})
    for _ in range(4, PERIOD):
        with choice.batch("image", True, 100):
            pass
    assert used(choice, 4, {1: 40, 2: 4}) == [1, 2, 1, 2]


def test_part_batches_and_other_devices_are_left_alone() -> None:
    choice = ThreadChoice(torch.device("cpu"))
    used(choice, 4, {1: 2, 2: 20})
    with choice.batch("image", False, 100):
        assert torch.get_num_threads() == choice.chosen("image") == 1
    other = ThreadChoice(torch.device("meta"))
    assert used(other, 5, {1: 1, 2: 1}) == [2] * 5
