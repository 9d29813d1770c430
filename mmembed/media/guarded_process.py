"""Process of a guarded pool: it takes tasks from a pipe and sends what its work yields.

It never runs far ahead of whoever takes its results, tells how far it got, and ends when the
process that started it does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmembed.media import progress
from mmembed.media.progress import Progress

AHEAD_RESULTS = 2  # of one task, that were not taken yet
TOLD_SECONDS = 1.0


class Message(NamedTuple):
    """A message to the pool.

    Attributes:
        kind: ``up``: ready for tasks; ``begun``: at work on a task; ``result``: one of its results;
            ``progress``: on the way to the next; ``returned``: not begun, and free for another
            process; ``end``: no more results; ``memory``: they need more memory than this process
            may take; ``raised``: the work failed by a mistake of its own.
        number: of the task.
        content: of the kind: a result, a :class:`Gain`, an error and its traceback.
    """

    kind: Literal["up", "begun", "result", "progress", "returned", "end", "memory", "raised"]
    number: int = 0
    content: Any = None


class Gain(NamedTuple):
    """Progress since it was told last.

    Attributes:
        item: number of the item that is being decoded.
        seconds: of its media so far.
        gained: seconds of media since then; infinite where a pass over an item began since.
    """

    item: int
    seconds: float
    gained: float


class Order(NamedTuple):
    """A message from the pool.

    Attributes:
        number: of a task.
        task: the task, pickled; None where one of its results was taken.
    """

    number: int
    task: bytes | None = None


def serve(
    pipe: Any,
    work: Callable[[Any], Iterable[Any]],
    niceness: int,
    memory_bytes: int | None,
    told_seconds: float = TOLD_SECONDS,
) -> None:
    """Do all tasks that come through ``pipe``, until it is closed.

    Args:
        pipe: both ways.
        work: yields the results of a task.
        niceness: how much this process steps back from the cores for others (0 to 19).
        memory_bytes: most memory beside what it starts with (on Linux); None for no limit.
        told_seconds: progress is told no more often than this.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the pool, which ends this
    _end_with_parent()
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)
    if memory_bytes is not None and sys.platform == "linux":
        import resource

        most = _memory_now() + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with suppress(EOFError, OSError):  # the pool is gone
        _Server(pipe, work, told_seconds).run()


class _Server:
    """The loop over tasks, and what is known of the one at work."""

    def __init__(
        self, pipe: Any, work: Callable[[Any], Iterable[Any]], told_seconds: float
    ) -> None:
        self._pipe, self._work, self._told_seconds = pipe, work, told_seconds
        self._waiting: deque[Order] = deque()
        self._number = self._untaken = 0
        self._told, self._told_at = Progress(), 0.0

    def run(self) -> None:
        self._send(Message("up"))
        while True:
            while not self._waiting:
                self._receive()
            self._do(self._waiting.popleft())

    def _do(self, order: Order) -> None:
        self._number, self._untaken, self._told = order.number, 0, Progress()
        self._send(Message("begun", order.number))
        progress.listen(self._tell)
        try:
            task = ForkingPickler.loads(order.task or b"")
            for number, result in enumerate(self._work(task)):
                if number:
                    self._return_waiting()
                while self._untaken >= AHEAD_RESULTS:
                    self._receive()
                    self._return_waiting()
                self._send(Message("result", order.number, result))
                self._untaken += 1
        except MemoryError:
            last = Message("memory", order.number)
        except Exception as error:
            last = Message("raised", order.number, (_sendable(error), traceback.format_exc()))
        else:
            last = Message("end", order.number)
        progress.listen(None)
        self._send(last)

    def _tell(self, now: Progress) -> None:
        """Send progress, unless something was sent just now."""
        if time.monotonic() - self._told_at < self._told_seconds:
            return
        told, self._told = self._told, now
        gained = now.seconds - told.seconds if now.passes == told.passes else float("inf")
        self._return_waiting()
        self._send(Message("progress", self._number, Gain(now.item, now.seconds, gained)))

    def _return_waiting(self) -> None:
        """Give tasks back that were sent ahead: the one at work takes long."""
        while self._pipe.poll():
            self._receive()
        while self._waiting:
            self._send(Message("returned", self._waiting.popleft().number))

    def _receive(self) -> None:
        order: Order = self._pipe.recv()
        if order.task is not None:
            self._waiting.append(order)
        elif order.number == self._number:
            self._untaken -= 1

    def _send(self, message: Message) -> None:
        self._pipe.send(message)
        self._told_at = time.monotonic()


def pickled(task: object) -> bytes:
    """Return a task as it goes into an :class:`Order`."""
    return bytes(ForkingPickler.dumps(task))


def _sendable(error: Exception) -> Exception:
    """Return an error that arrives as it is, or one of its words where it would not."""
    try:
        return ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """End this process when the one that started it does, even while a decoder hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _memory_now() -> int:
    """Return the bytes of writable memory that this process has: libraries reserve much of it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024
