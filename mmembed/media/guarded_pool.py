"""Work on files in guarded processes: a time limit a task, and a crash costs its task only.

The processes are started afresh (never forked from a process that holds a model), so they
import only what the work needs, and the caller's script only if the work is defined there. The
pool knows nothing of media: it takes any callable and any tasks that can be sent to a process, a
bounded number of them at a time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from mmembed.errors import ConfigError
from mmembed.media.fresh_process import fresh_context, start_server

Key = TypeVar("Key")
Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_RESTARTS = 3


@dataclass(frozen=True)
class Failure:
    """The reason why a task has no result: the process took too long, or came to an end.

    Attributes:
        error: class name of the error.
        message: what happened, for people.
    """

    error: str
    message: str


class GuardedPool(Generic[Key, Task, Result]):
    """Runs ``work(task)`` in processes and returns results in the order they get ready.

    >>> with GuardedPool(work, workers=2, timeout_seconds=60) as pool:
    ...     pool.submit("a", task)
    ...     key, outcome = pool.wait()

    Args:
        work: what is done; the callable and its tasks and results must be picklable. It travels
            to each process once, and not with its tasks: a preprocess may hold a large vocabulary.
        workers: number of processes; 0 works in this process when :meth:`wait` is called, without
            a time limit or protection from crashes.
        timeout_seconds: a task that takes longer is stopped, and its process replaced.
        preload: modules that every process needs, imported once and shared.
        niceness: how much the processes step back from the cores for others (0 to 19).
        memory_bytes: a process that wants this much more than it starts with gets a MemoryError
            instead (on Linux); None for no limit.
    """

    def __init__(
        self,
        work: Callable[[Task], Result],
        workers: int,
        timeout_seconds: float,
        preload: Sequence[str] = (),
        niceness: int = 0,
        memory_bytes: int | None = None,
    ) -> None:
        self._work, self._workers, self._timeout = work, workers, timeout_seconds
        self._preload, self._limits = list(preload), (niceness, memory_bytes)
        self._ready: SimpleQueue[tuple[int, int, Future[Result]]] = SimpleQueue()
        self._tasks: dict[int, tuple[Key, Task]] = {}
        self._count = self._generation = self._restarts = 0
        self._pool = self._started() if workers else None

    @property
    def in_flight(self) -> int:
        """Number of tasks that were submitted and did not come out yet."""
        return len(self._tasks)

    @property
    def idle(self) -> bool:
        """Whether the processes are ahead: half of all tasks in flight wait as results."""
        return self._pool is None or 2 * self._ready.qsize() >= self.in_flight

    def __enter__(self) -> GuardedPool[Key, Task, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, key: Key, task: Task) -> None:
        """Hand a task in; its result comes out of :meth:`wait` with ``key``, which stays here."""
        self._count += 1
        self._tasks[self._count] = key, task
        if self._pool is not None:
            try:
                self._schedule(self._count)
            except RuntimeError:  # the pool broke since the last result came out
                self._restart()

    def wait(self) -> tuple[Key, Result | Failure]:
        """Return the key and result of the next task that is done, or why it has none.

        Raises:
            ConfigError: processes end as soon as they are started.
            Exception: what ``work`` itself raised.
        """
        if not self._tasks:
            raise ValueError("no task was submitted")
        if self._pool is None:
            key, task = self._tasks.pop(next(iter(self._tasks)))
            return key, self._work(task)
        while True:
            number, generation, future = self._ready.get()
            try:
                outcome: Result | Failure = future.result()
                self._restarts = 0
            except FutureTimeout:
                outcome = Failure("TimeoutError", f"took more than {self._timeout:g} s")
            except ProcessExpired as error:
                outcome = Failure("ProcessExpired", _how_it_ended(error.exitcode))
            except BrokenProcessPool:
                if generation == self._generation:
                    self._restart()
                continue
            if number in self._tasks:
                return self._tasks.pop(number)[0], outcome

    def close(self) -> None:
        """Stop all processes, whatever they are at."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    def _started(self) -> ProcessPool:
        context = fresh_context(self._work)
        start_server(self._preload)
        return ProcessPool(
            max_workers=self._workers,
            initializer=_start_process,
            initargs=(self._work, *self._limits),
            context=context,
        )

    def _schedule(self, number: int) -> None:
        generation, (_, task) = self._generation, self._tasks[number]
        assert self._pool is not None
        future = self._pool.schedule(_do, args=(task,), timeout=self._timeout)
        future.add_done_callback(lambda done: self._ready.put((number, generation, done)))

    def _restart(self) -> None:
        """Start new processes after all of them were lost, and give them all tasks again."""
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise ConfigError(
                "the decode processes end as soon as they start. Call from a script under "
                '`if __name__ == "__main__":`, or use 0 workers.',
                "workers",
                self._workers,
            )
        self.close()
        self._generation += 1
        self._pool = self._started()
        for number in list(self._tasks):
            self._schedule(number)


def default_workers() -> int:
    """Return how many processes this machine has cores for."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_work_of_process: Callable[[Any], Any]  # in a process of a pool: what it does with its tasks


def _do(task: Any) -> Any:
    return _work_of_process(task)


def _start_process(work: Callable[[Any], Any], niceness: int, memory_bytes: int | None) -> None:
    global _work_of_process
    _work_of_process = work
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)
    if memory_bytes is not None and sys.platform == "linux":
        import resource

        most = _memory_now() + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _memory_now() -> int:
    """Return the bytes of writable memory that this process has: libraries reserve much of it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"the decoder crashed its process (signal {-exit_code})"
    return f"the decoder ended its process (exit code {exit_code})"
