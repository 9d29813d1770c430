"""Results of a guarded task come one by one, none far ahead, and progress keeps it alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from pickle import PicklingError
from typing import Any

import pytest

from mmembed.media.guarded_pool import GuardedPool
from mmembed.media.task_outcome import Done, Failure
from tests.media.scripted_work import Step, work

Pool = GuardedPool[str, list[Step], Any]


def drained(pool: Pool) -> dict[str, list[Any]]:
    """By key, all outcomes of each task."""
    came: dict[str, list[Any]] = defaultdict(list)
    while pool.in_flight:
        key, outcome = pool.wait()
        came[key].append(outcome)
    return came


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def settled(path: Path, seconds: float = 0.5, least: int = 0) -> int:
    """The lines of a file once it has not grown for a while, and has as many as it should."""
    limit = time.monotonic() + 60
    while lines(path) < least and time.monotonic() < limit:
        time.sleep(0.01)
    count, since = lines(path), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.01)
        if lines(path) != count:
            count, since = lines(path), time.monotonic()
    return count


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_and_then_the_end(workers: int) -> None:
    with Pool(work, workers, 60) as pool:
        for name in "abcdefgh":
            pool.submit(name, [("give", number) for number in range(30)])
        came = drained(pool)
    assert came == {name: [*range(30), Done()] for name in "abcdefgh"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_task_may_have_no_result_at_all(workers: int) -> None:
    with Pool(work, workers, 60) as pool:
        pool.submit("none", [])
        assert drained(pool) == {"none": [Done()]}


def test_a_result_comes_out_while_the_task_goes_on() -> None:
    with Pool(work, 1, 60) as pool:
        pool.submit("a", [("give", 1), ("wait", 600)])
        assert pool.wait() == ("a", 1)
        assert not pool.poll(0.2)
        assert pool.in_flight == 1


def test_a_process_is_at_most_two_results_ahead(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    steps: list[Step] = [("note", notes), ("give", 0)]
    with Pool(work, 1, 60) as pool:
        pool.submit("a", 20 * steps)
        for taken in range(17):
            ahead = settled(notes, 0.2, taken + 3) - taken
            assert ahead == 3, "two are sent, the third is made and kept"
            assert pool.wait() == ("a", 0)
        assert drained(pool) == {"a": [0, 0, 0, Done()]}


def test_a_process_that_nobody_takes_results_from_is_not_late() -> None:
    with Pool(work, 1, 0.5) as pool:
        pool.submit("a", [("give", number) for number in range(6)])
        assert pool.poll(10)
        time.sleep(2.0)
        assert drained(pool) == {"a": [*range(6), Done()]}


def test_what_came_before_a_crash_or_a_hang_stays() -> None:
    with Pool(work, 2, 1.0) as pool:
        pool.submit("crash", [("give", 1), ("give", 2), ("die", 9), ("give", 3)])
        pool.submit("hang", [("give", 1), ("wait", 600), ("give", 2)])
        came = drained(pool)
    assert came == {
        "crash": [1, 2, Failure("ProcessExpired", "the decoder crashed its process (signal 9)")],
        "hang": [1, Failure("TimeoutError", "made no progress for 1 s")],
    }


@pytest.mark.parametrize(
    ("steps", "is_done"),
    [
        (16 * [("wait", 0.3), ("give", 0)], True),
        ([each for n in range(16) for each in (("wait", 0.3), ("report", 5.0 * n))], True),
        ([each for n in range(16) for each in (("wait", 0.3), ("begin", n))], True),
        ([each for n in range(80) for each in (("wait", 0.3), ("report", 1e-4 * n))], False),
        ([each for n in range(80) for each in (("wait", 0.3), ("report", 5.0 - n))], False),
        ([("wait", 20)], False),
    ],
    ids=["results", "media", "items", "a hair", "back", "silence"],
)
def test_progress_is_results_items_and_media_that_advance(steps: list[Step], is_done: bool) -> None:
    """Each takes 4.8 s, three times the limit, or would take 20 s."""
    with Pool(work, 1, 1.5) as pool:
        pool.submit("a", steps)
        began = time.monotonic()
        *_, last = drained(pool)["a"]
        seconds = time.monotonic() - began
    if is_done:
        assert last == Done()
        assert seconds > 3 * 1.5
    else:
        assert last == Failure("TimeoutError", "made no progress for 1.5 s")
        assert seconds < 15


def test_tasks_do_not_wait_behind_one_that_takes_long() -> None:
    """Those that were sent ahead go back, and to another process."""
    for slowly in (("give", 0), ("report", 1.0)):
        steps = [each for n in range(12) for each in (("wait", 0.25), slowly)]
        if slowly[0] == "report":
            steps = [(s, float(n)) if s == "report" else (s, v) for n, (s, v) in enumerate(steps)]
        with Pool(work, 2, 60) as pool:
            pool.submit("long", steps)
            for number in range(12):
                pool.submit(f"{number}", [("wait", 0.05), ("give", number)])
            ended = []
            while pool.in_flight:
                key, outcome = pool.wait()
                if isinstance(outcome, Done):
                    ended.append(key)
        assert ended[-1] == "long"
        assert sorted(ended) == sorted(["long", *map(str, range(12))])


def test_the_tasks_at_work_are_known_with_how_far_they_are() -> None:
    with Pool(work, 1, 60) as pool:
        pool.submit("a", [("begin", 3), ("wait", 1.2), ("report", 7.0), ("give", 0), ("wait", 600)])
        pool.wait()
        ((key, at),) = pool.at_work
    assert (key, at.item, at.media_seconds) == ("a", 3, 7.0)
    assert 1.0 < time.monotonic() - at.began < 60


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_of_the_work_is_raised_and_the_pool_goes_on(workers: int) -> None:
    with Pool(work, workers, 60) as pool:
        pool.submit("a", [("give", 1), ("fail", KeyError("no such"))])
        pool.submit("b", [("give", 2)])
        assert pool.wait() == ("a", 1)
        with pytest.raises(KeyError, match="no such") as raised:
            pool.wait()
        if workers:
            assert "scripted_work.py" in str(raised.value.__cause__)
        assert drained(pool) == {"b": [2, Done()]}


def test_what_can_t_be_sent_is_a_mistake_with_its_words() -> None:
    with Pool(work, 1, 60) as pool:
        pool.submit("error", [("unsendable", None)])
        with pytest.raises(RuntimeError, match="^Unsendable: 1 and 2$"):
            pool.wait()
        pool.submit("result", [("lambda", None)])
        with pytest.raises((TypeError, AttributeError, RuntimeError), match="lambda"):
            pool.wait()
        with pytest.raises((TypeError, AttributeError, PicklingError), match="lambda"):
            pool.submit("task", [("give", lambda: 0)])
        assert pool.in_flight == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_a_result_too_large_to_be_sent_costs_its_task() -> None:
    with GuardedPool(eval, 1, 60, memory_bytes=200 << 20) as pool:
        pool.submit("large", "[bytearray(150 << 20)]")
        pool.submit("small", "[7]")
        outcomes = [pool.wait() for _ in range(3)]
    (_, failure), *rest = outcomes
    assert isinstance(failure, Failure)
    assert failure.error == "MemoryError"
    assert "needs more memory" in failure.message
    assert rest == [("small", 7), ("small", Done())]


ORPHAN = """
import time
from mmembed.media.guarded_pool import GuardedPool
from tests.media.scripted_work import work
with GuardedPool(work, 2, 600) as pool:
    pool.submit("busy", [("process", 0), ("wait", 600)])
    pool.submit("idle", [("process", 0)])
    while pool.poll(2.0):
        print(pool.wait()[1], flush=True)
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_one_that_started_them(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = list(iter(process.stdout.readline, "ready\n"))
    workers = [int(line) for line in said if line.strip().isdigit()]
    assert len(workers) == 2
    assert all(map(exists, workers))
    process.send_signal(number)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(map(exists, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(exists, workers))


def test_a_closed_pool_leaves_no_process_and_closes_at_once() -> None:
    with Pool(work, 2, 600) as pool:
        pool.submit("busy", [("process", 0), ("wait", 600)])
        pool.submit("held up", [("process", 0)] * 10)
        workers = {pool.wait()[1] for _ in range(4)}
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert len(workers) == 2
    assert not any(map(exists, workers))
    pool.close()


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
