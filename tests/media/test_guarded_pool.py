"""Guarded processes: what goes wrong in one task stays there. The work is ``eval`` of a list."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmembed.media.guarded_pool import GuardedPool, default_workers
from mmembed.media.task_outcome import Done, Failure

CRASH = "[__import__('os').kill(__import__('os').getpid(), 11)]"
HANG = "[__import__('time').sleep(600)]"
LEAVE = "[__import__('os')._exit(3)]"


def drained(pool: GuardedPool[Any, Any, Any]) -> dict[Any, Any]:
    """By key, the result of each task or why it has none."""
    outcomes: dict[Any, Any] = {}
    while pool.in_flight:
        key, outcome = pool.wait()
        if isinstance(outcome, Done):
            assert key in outcomes
        else:
            assert key not in outcomes
            outcomes[key] = outcome
    return outcomes


def run(tasks: list[str], workers: int, timeout_seconds: float = 60.0) -> dict[str, object]:
    with GuardedPool(eval, workers, timeout_seconds) as pool:
        for task in tasks:
            pool.submit(task, task)
        return drained(pool)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_task_comes_out_once_with_its_result(workers: int) -> None:
    tasks = [f"[{i} * 2]" for i in range(40)]
    assert run(tasks, workers) == {task: eval(task)[0] for task in tasks}


def test_a_crash_costs_its_task_only() -> None:
    outcomes = run([CRASH, *(f"[{i} + 1]" for i in range(20)), LEAVE], workers=2)
    assert outcomes.pop(CRASH) == Failure(
        "ProcessExpired", "the decoder crashed its process (signal 11)"
    )
    assert outcomes.pop(LEAVE) == Failure(
        "ProcessExpired", "the decoder ended its process (exit code 3)"
    )
    assert outcomes == {f"[{i} + 1]": i + 1 for i in range(20)}


def test_a_hang_ends_at_the_time_limit_and_costs_its_task_only() -> None:
    outcomes = run([HANG, *(f"[{i} + 1]" for i in range(8))], workers=1, timeout_seconds=2)
    assert outcomes.pop(HANG) == Failure("TimeoutError", "made no progress for 2 s")
    assert outcomes == {f"[{i} + 1]": i + 1 for i in range(8)}


class Heavy:
    """Work that takes long to send, and counts how often it was."""

    sent = 0

    def __reduce__(self) -> tuple[type[Heavy], tuple[()]]:
        Heavy.sent += 1
        return Heavy, ()

    def __call__(self, task: int) -> Iterator[int]:
        yield 2 * task


def test_work_travels_to_each_process_once_and_not_with_its_tasks() -> None:
    Heavy.sent = 0
    with GuardedPool(Heavy(), workers=2, timeout_seconds=60) as pool:
        for number in range(40):
            pool.submit(number, number)
        outcomes = drained(pool)
    assert outcomes == {number: 2 * number for number in range(40)}
    assert 2 <= Heavy.sent <= 3, "once a process, and once to see where it is defined"


def test_the_key_stays_here() -> None:
    key = object()  # equal to itself alone, so a copy that travelled would be another
    with GuardedPool(eval, workers=1, timeout_seconds=60) as pool:
        pool.submit(key, "[1 + 1]")
        (came, outcome), (again, end) = pool.wait(), pool.wait()
    assert came is key is again
    assert (outcome, end) == (2, Done())


def test_tasks_of_processes_that_all_died_idle_are_done_by_new_ones() -> None:
    with GuardedPool(eval, workers=1, timeout_seconds=60) as pool:
        pool.submit("pid", "[__import__('os').getpid()]")
        os.kill(drained(pool)["pid"], 9)
        for i in range(6):
            pool.submit(i, f"[{i} + 1]")
        outcomes = drained(pool)
    assert outcomes == {i: i + 1 for i in range(6)}


UNGUARDED = """
import sys
from mmembed.media.guarded_pool import GuardedPool
print("imported", file=sys.stderr)
def double(number):
    yield 2 * number
pool = GuardedPool({work}, 1, 60)
pool.submit(0, {task})
print(pool.wait())
"""


def test_a_script_needs_no_guard_and_is_not_run_again(tmp_path: Path) -> None:
    done = _unguarded(tmp_path, "eval", "'[1 + 1]'")
    assert done.stdout.strip() == "(0, 2)"
    assert done.stderr.strip() == "imported"


def test_a_script_with_work_of_its_own_is_told_that_it_needs_a_guard(tmp_path: Path) -> None:
    done = _unguarded(tmp_path, "double", "1")
    said = [s for s in done.stderr.splitlines() if s.startswith("mmembed.errors.ConfigError")]
    assert len(said) == 1
    assert "workers=1: the decode processes end as soon as they start" in said[0]
    assert "__main__" in said[0]


def test_work_of_a_guarded_script_is_found(tmp_path: Path) -> None:
    guarded = UNGUARDED.replace("pool = ", "if __name__ == '__main__': pool = ")
    guarded = guarded.replace("\npool.", "\nif __name__ == '__main__': pool.")
    guarded = guarded.replace("\nprint(", "\nif __name__ == '__main__': print(")
    assert _unguarded(tmp_path, "double", "1", guarded).stdout.strip() == "(0, 2)"


def _unguarded(
    folder: Path, work: str, task: str, program: str = UNGUARDED
) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(program.format(work=work, task=task))
    return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)


def test_waiting_for_nothing_is_a_mistake_of_the_program() -> None:
    pool = GuardedPool(eval, workers=0, timeout_seconds=60)
    with pytest.raises(ValueError, match="no task was submitted"):
        pool.wait()


def test_idle_says_whether_the_processes_are_ahead() -> None:
    with GuardedPool(eval, workers=1, timeout_seconds=60) as pool:
        assert pool.idle
        pool.submit("", "[__import__('time').sleep(0.5)]")
        assert not pool.idle
        drained(pool)
        for number in range(4):
            pool.submit(number, "[0]")
        deadline = time.monotonic() + 30
        while not pool.idle and time.monotonic() < deadline:
            time.sleep(0.01)
        assert pool.idle
        assert pool.in_flight == pool.backlog == 4
    assert GuardedPool(eval, workers=0, timeout_seconds=60).idle


def test_processes_step_back_for_the_model() -> None:
    with GuardedPool(eval, workers=1, timeout_seconds=60, niceness=7) as pool:
        pool.submit("", "[__import__('os').nice(0)]")
        assert pool.wait()[1] == min(os.nice(0) + 7, 19)


def test_decode_workers_never_load_torch() -> None:
    """In a process of its own: this one's fork server may have been started by another test."""
    program = """
import sys
from mmembed.media.guarded_pool import GuardedPool
if __name__ == "__main__":
    with GuardedPool(eval, 1, 60, ["mmembed.decoding.worker"]) as pool:
        pool.submit(0, "[sorted(m for m in __import__('sys').modules if '.' not in m)]")
        print(*pool.wait()[1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"av", "PIL", "soundfile", "mmembed"} <= loaded
    assert not loaded & {"torch", "torchaudio", "timm", "pyarrow", "lightning"}


def test_modules_of_a_server_that_was_started_early_are_there_for_every_process() -> None:
    program = """
from mmembed.media.fresh_process import start_server
from mmembed.media.guarded_pool import GuardedPool
start_server(["mmembed.media.probe"])
with GuardedPool(eval, 1, 60, ["mmembed.decoding.worker"]) as pool:
    pool.submit(0, "['mmembed.media.probe' in __import__('sys').modules]")
    print(pool.wait()[1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_one_worker_a_core() -> None:
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
