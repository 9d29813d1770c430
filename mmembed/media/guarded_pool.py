"""Work on files in guarded processes: a time limit without progress, and a crash costs its task.

The processes are started afresh (never forked from a process that holds a model), so they
import only what the work needs, and the caller's script only if the work is defined there. The
pool knows nothing of media: it takes any callable and any tasks that can be sent to a process, a
bounded number of them at a time. Results of a task come one by one while it goes on, and none runs
far ahead of whoever takes them.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from mmembed.media.dispatcher import Dispatcher
from mmembed.media.fresh_process import fresh_context, start_server
from mmembed.media.guarded_process import TOLD_SECONDS, Order, pickled, serve
from mmembed.media.task_outcome import AtWork, Done, Failure, Raised

Key = TypeVar("Key")
Task = TypeVar("Task")
Result = TypeVar("Result")


class GuardedPool(Generic[Key, Task, Result]):
    """Runs ``work(task)`` in processes and returns its results as they get ready.

    The results of a task come in their order, and then :class:`Done`; or :class:`Failure`, if it
    has no more.

    >>> with GuardedPool(work, workers=2, timeout_seconds=60) as pool:
    ...     pool.submit("a", task)
    ...     while pool.in_flight:
    ...         key, outcome = pool.wait()

    Args:
        work: yields the results of a task; the callable and its tasks and results must be
            picklable. It travels to each process once, and not with its tasks: a preprocess may
            hold a large vocabulary.
        workers: number of processes; 0 works in this process when :meth:`wait` is called, without
            a time limit or protection from crashes.
        timeout_seconds: a task that makes no progress for longer is stopped, and its process
            replaced. A result is progress, and so is what :mod:`mmembed.media.progress` is told:
            another item, or media decoded, of which a second excuses up to 100 s.
        preload: modules that every process needs, imported once and shared.
        niceness: how much the processes step back from the cores for others (0 to 19).
        memory_bytes: a process that wants this much more than it starts with gets a MemoryError
            instead (on Linux); None for no limit.
    """

    def __init__(
        self,
        work: Callable[[Task], Iterable[Result]],
        workers: int,
        timeout_seconds: float,
        preload: Sequence[str] = (),
        niceness: int = 0,
        memory_bytes: int | None = None,
    ) -> None:
        self._work = work
        self._count = self._results = self._ends = 0
        self._keys: dict[int, Key] = {}
        self._ready: deque[tuple[int, Any]] = deque()
        self._news = threading.Condition()
        self._tasks: dict[int, Task] = {}  # without processes
        self._running: Iterator[Result] | None = None
        self._dispatcher: Dispatcher | None = None
        if workers:
            context = fresh_context(work)
            start_server(preload)
            told_seconds = min(TOLD_SECONDS, timeout_seconds / 4)

            def start() -> tuple[Any, Any]:
                pipe, theirs = context.Pipe()
                given = (theirs, work, niceness, memory_bytes, told_seconds)
                process = context.Process(target=serve, args=given, daemon=True)
                process.start()
                theirs.close()
                return process, pipe

            self._dispatcher = Dispatcher(start, workers, timeout_seconds, self._deliver)
            atexit.register(self._dispatcher.close)

    @property
    def in_flight(self) -> int:
        """Number of tasks that were submitted and whose end did not come out yet."""
        return len(self._keys)

    @property
    def backlog(self) -> int:
        """Number of tasks that are not done yet, and of results that wait."""
        return len(self._keys) - self._ends + self._results

    @property
    def idle(self) -> bool:
        """Whether the processes are ahead: half of the backlog are results, or all wait for us."""
        if self._dispatcher is None:
            return True
        return 2 * self._results >= self.backlog or self._dispatcher.is_held_up

    @property
    def at_work(self) -> list[tuple[Key, AtWork]]:
        """The tasks that processes are at."""
        if self._dispatcher is None:
            return []
        at_work = self._dispatcher.at_work.copy().items()
        return [(self._keys[number], each) for number, each in at_work if number in self._keys]

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
        """Hand a task in; its results come out of :meth:`wait` with ``key``, which stays here."""
        self._count += 1
        if self._dispatcher is None:
            self._tasks[self._count] = task
        else:
            self._dispatcher.send(Order(self._count, pickled(task)))
        self._keys[self._count] = key

    def poll(self, seconds: float) -> bool:
        """Return whether :meth:`wait` has something to return, which is waited for so long."""
        if self._dispatcher is None:
            return True
        with self._news:
            return self._news.wait_for(lambda: len(self._ready) > 0, seconds)

    def wait(self) -> tuple[Key, Result | Done | Failure]:
        """Return a key with the next result of its task, or with the end of its results.

        Raises:
            ConfigError: processes end as soon as they are started.
            Exception: what ``work`` itself raised.
        """
        if not self._keys:
            raise ValueError("no task was submitted")
        if self._dispatcher is None:
            return self._wait_here()
        number, outcome = self._next()
        if isinstance(outcome, Raised):
            self._keys.pop(number, None)
            raise outcome.error from (_Trace(outcome.trace) if outcome.trace else None)
        if isinstance(outcome, (Done, Failure)):
            return self._keys.pop(number), outcome
        self._dispatcher.send(Order(number))
        return self._keys[number], outcome

    def close(self) -> None:
        """Stop all processes, whatever they are at."""
        if self._dispatcher is not None:
            self._dispatcher.close()
            atexit.unregister(self._dispatcher.close)

    def _next(self) -> tuple[int, Any]:
        with self._news:
            while not self._ready:
                self._news.wait()
            number, outcome = self._ready[0]
            if number:  # else the dispatcher failed, which stays so
                self._ready.popleft()
                self._count_ready(outcome, -1)
            return number, outcome

    def _wait_here(self) -> tuple[Key, Result | Done]:
        number = next(iter(self._keys))
        try:
            if self._running is None:
                self._running = iter(self._work(self._tasks.pop(number)))
            return self._keys[number], next(self._running)
        except StopIteration:
            self._running = None
            return self._keys.pop(number), Done()
        except Exception:
            self._running = None
            del self._keys[number]
            raise

    def _deliver(self, number: int, outcome: Any) -> None:
        with self._news:
            self._ready.append((number, outcome))
            self._count_ready(outcome, 1)
            self._news.notify()

    def _count_ready(self, outcome: Any, more: int) -> None:
        if isinstance(outcome, (Done, Failure, Raised)):
            self._ends += more
        else:
            self._results += more


def default_workers() -> int:
    """Return how many processes this machine has cores for."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class _Trace(Exception):
    """The traceback of an error in its process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"
