"""The model gets the threads that are faster, and little is spent on finding out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from mmembed.embedding.embed import embed
from mmembed.embedding.engines import threads
from mmembed.embedding.engines.threads import LATEST, SOONEST, TRIAL_SHARE, ThreadChoice


class Clock:
    """Time that passes only where a batch says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(threads, "perf_counter", clock)
    return clock


def run(
    choice: ThreadChoice,
    clock: Clock,
    batches: int,
    seconds: dict[int, float],
    cores_free: bool = True,
) -> list[int]:
    """Run batches that take as long as their number of threads says; return those numbers."""
    used = []
    for _ in range(batches):
        with choice.batch("image", True, 100, cores_free):
            used.append(torch.get_num_threads())
            clock.now += seconds[used[-1]]
        assert torch.get_num_threads() == 2
    return used


def test_a_clear_gain_costs_one_batch(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    assert run(choice, clock, 8, {1: 30, 2: 10}) == [2, 2, 1, 2, 2, 2, 2, 2]


def test_a_small_gain_is_tried_twice(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    assert run(choice, clock, 7, {1: 24, 2: 20}) == [2, 2, 1, 2, 1, 2, 2]


def test_one_thread_is_chosen_by_three_trials(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    assert run(choice, clock, 10, {1: 10, 2: 30}) == [2, 2, 1, 2, 1, 2, 1, 1, 1, 1]


def test_a_moment_in_which_another_program_takes_a_core_decides_nothing(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    run(choice, clock, 1, {1: 20, 2: 11})
    run(choice, clock, 2, {1: 20, 2: 44})
    assert run(choice, clock, 60, {1: 20, 2: 11}).count(1) <= 2


def test_a_wrong_choice_of_one_thread_is_put_right_soon_and_a_right_one_tried_ever_later(
    clock: Clock,
) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    assert run(choice, clock, 7, {1: 20, 2: 44})[-1] == 1
    assert run(choice, clock, 60, {1: 20, 2: 11}).count(1) <= 2 * SOONEST + 2
    choice = ThreadChoice(torch.device("cpu"))
    run(choice, clock, 500, {1: 1, 2: 3})
    assert run(choice, clock, 500, {1: 1, 2: 3}).count(2) <= 6


def test_a_trial_while_decoders_fill_the_queue_decides_nothing_for_the_time_after(
    clock: Clock,
) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    beside = run(choice, clock, 20, {1: 20, 2: 20}, cores_free=False)
    assert beside[7:15] == [1] * 8
    after = run(choice, clock, 100, {1: 20, 2: 11}, cores_free=True)
    assert after.count(1) <= 5
    assert after[5:13] == [2] * 8


def test_a_close_choice_is_tried_again_soon_and_a_clear_one_late(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    run(choice, clock, 7, {1: 20, 2: 20})
    changed = run(choice, clock, 2 * SOONEST + 6, {1: 20, 2: 10})
    assert changed[-1] == 2, "what was mistaken for even is put right within a few batches"
    choice = ThreadChoice(torch.device("cpu"))
    run(choice, clock, 3, {1: 1000, 2: 10})
    assert run(choice, clock, LATEST, {1: 1000, 2: 10}) == [2] * LATEST
    assert 1 in run(choice, clock, 2, {1: 1000, 2: 10})


@pytest.mark.parametrize("slow", [1.06, 1.3, 2.0, 5.0])
def test_trials_cost_a_small_share_of_the_time(clock: Clock, slow: float) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    batches = 2000
    run(choice, clock, batches, {1: slow, 2: 1.0})
    assert clock.now / batches - 1 <= 2 * TRIAL_SHARE + 0.005


def test_beside_decoders_a_core_is_left_to_them_unless_the_gain_is_worth_it(clock: Clock) -> None:
    seconds = {1: 20, 2: 18.5}
    choice = ThreadChoice(torch.device("cpu"))
    assert run(choice, clock, 6, seconds, cores_free=True)[-1] == 2
    assert run(choice, clock, 8, seconds, cores_free=False)[-1] == 1


def test_part_batches_and_other_devices_are_left_alone(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    run(choice, clock, 7, {1: 2, 2: 20})
    for _ in range(LATEST):
        with choice.batch("image", False, 100, True):
            assert torch.get_num_threads() == 1
    other = ThreadChoice(torch.device("meta"))
    assert run(other, clock, 5, {1: 1, 2: 1}) == [2] * 5
    assert other.summary() == []


def test_the_summary_says_how_many_batches_got_how_many_threads(clock: Clock) -> None:
    choice = ThreadChoice(torch.device("cpu"))
    run(choice, clock, 12, {1: 10, 2: 30})
    assert choice.summary() == ["threads of the model, image: 1 for 8 batches, 2 for 4 batches"]


def test_a_run_says_which_threads_its_model_got(tiny_space_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for number in range(3):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / "media" / f"{number}.png")
    summary = embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, workers=0)
    assert summary.notes == ["threads of the model, image: 2 for 1 batches"]
    assert summary.notes[0] in str(summary)
