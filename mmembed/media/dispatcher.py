"""Dispatcher of a guarded pool: the thread that starts processes, feeds them and watches them.

It alone touches processes and their pipes. A process has one task at work and may have the next,
a small one, waiting: so it never waits for the thread that uses the results. A process that ends
costs the task that it had begun; what it had waiting goes to others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait
from queue import Empty, SimpleQueue
from typing import Any

from mmembed.errors import ConfigError
from mmembed.media.guarded_process import AHEAD_RESULTS, Message, Order
from mmembed.media.task_outcome import NO_MEMORY, AtWork, Done, Failure, Raised, how_it_ended

MAX_RESTARTS = 3
TICK_SECONDS = 1.0
START_SECONDS = 60.0  # for a process to be up, where the time limit of tasks is shorter
MEDIA_WORTH = 100.0  # seconds that a second of media may take
SMALL_BYTES = 4096  # of a task that is sent ahead: no pipe is so full that this would not fit
JOIN_SECONDS = 5.0


@dataclass(eq=False)
class _Member:
    """A process and what it is at.

    Attributes:
        process: as multiprocessing has it.
        pipe: both ways.
        is_up: whether it takes tasks.
        tasks: those sent; the first one is at work once it has begun.
        begun: whether it has.
        is_long: whether it takes long, so that no other task should wait for it.
        untaken: its results that were not taken yet.
        silent_seconds: without progress.
    """

    process: Any
    pipe: Any
    is_up: bool = False
    tasks: deque[int] = field(default_factory=deque)
    begun: bool = False
    is_long: bool = False
    untaken: int = 0
    silent_seconds: float = 0.0

    @property
    def is_held_up(self) -> bool:
        """Whether it may be waiting for its results to be taken."""
        return self.untaken >= AHEAD_RESULTS

    @property
    def is_timed(self) -> bool:
        """Whether progress is due."""
        return not self.is_up or (bool(self.tasks) and not self.is_held_up)


class Dispatcher:
    """Does tasks in processes, from a thread of its own.

    Args:
        start: starts a process, and returns it and the pipe to it.
        most: number of processes.
        timeout_seconds: longest time without progress on a task.
        deliver: called in the thread, with the number of a task and a result or its end.
    """

    def __init__(
        self,
        start: Callable[[], tuple[Any, Any]],
        most: int,
        timeout_seconds: float,
        deliver: Callable[[int, Any], None],
    ) -> None:
        self._start_process, self._most = start, most
        self._timeout, self._deliver = timeout_seconds, deliver
        self.at_work: dict[int, AtWork] = {}
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._waiting: deque[int] = deque()
        self._tasks: dict[int, bytes] = {}
        self._members: list[_Member] = []
        self._false_starts = 0
        self._is_closing = self._is_woken = False
        self._woken, self._wake = Pipe(duplex=False)
        self._start_member()  # here, for whoever may not start processes to be told so
        self._thread = threading.Thread(target=self._run, name="guarded pool", daemon=True)
        self._thread.start()

    @property
    def is_held_up(self) -> bool:
        """Whether all processes wait for their results to be taken."""
        return all(member.is_held_up for member in list(self._members))

    def send(self, order: Order) -> None:
        """Hand a task in, or say that a result of one was taken."""
        self._orders.put(order)
        if not self._is_woken:
            self._is_woken = True
            with suppress(OSError):  # the thread failed, and said why
                self._wake.send_bytes(b"!")

    def close(self) -> None:
        """End all processes, whatever they are at."""
        self._is_closing, self._is_woken = True, True
        with suppress(OSError):
            self._wake.send_bytes(b"!")
        self._thread.join(JOIN_SECONDS)
        for member in self._members:  # none, unless a process keeps the thread waiting
            member.process.kill()
        self._thread.join(JOIN_SECONDS)
        self._wake.close()

    def _run(self) -> None:
        try:
            before = time.monotonic()
            while not self._is_closing:
                self._take_orders()
                self._hand_out()
                pipes = {member.pipe: member for member in self._members}
                ready = wait([self._woken, *pipes], self._patience())
                now = time.monotonic()
                # a time in which this process itself was stopped is nobody's fault
                passed, before = min(now - before, 2 * TICK_SECONDS), now
                for member in pipes.values():
                    member.silent_seconds += passed * member.is_timed
                for pipe in ready:
                    if pipe is self._woken:
                        self._is_woken = False
                        self._woken.recv_bytes()
                    else:
                        self._hear(pipes[pipe])
                for member in list(self._members):
                    self._check(member)
        except BaseException as error:
            self._deliver(0, Raised(error))
        finally:
            for member in self._members:
                member.process.kill()
            for member in self._members:
                member.process.join(JOIN_SECONDS)
                member.pipe.close()
            self._members.clear()

    def _patience(self) -> float | None:
        """Return how long to wait for messages; None for ever, if none is due."""
        left = [self._limit(m) - m.silent_seconds for m in self._members if m.is_timed]
        return max(0.0, min(TICK_SECONDS, *left)) if left else None

    def _limit(self, member: _Member) -> float:
        return self._timeout if member.is_up else max(self._timeout, START_SECONDS)

    def _take_orders(self) -> None:
        while True:
            try:
                number, task = self._orders.get_nowait()
            except Empty:
                return
            if task is not None:
                self._tasks[number] = task
                self._waiting.append(number)
                continue
            for member in self._members:
                if member.begun and member.tasks[0] == number:
                    member.untaken -= 1
                    with suppress(OSError):  # it ended: that will be heard
                        member.pipe.send(Order(number))

    def _hand_out(self) -> None:
        """Give tasks to processes without one, then start more, then let small ones wait."""
        while self._waiting:
            idle = [m for m in self._members if m.is_up and not m.tasks]
            starting = sum(not m.is_up for m in self._members)
            if not idle:
                if starting >= len(self._waiting):
                    return
                if len(self._members) < self._most:
                    self._start_member()
                    continue
                small = len(self._tasks[self._waiting[0]]) <= SMALL_BYTES
                idle = [m for m in self._members if small and len(m.tasks) == 1 and not m.is_long]
                if not idle:
                    return
            member, number = idle[0], self._waiting.popleft()
            if not member.tasks:
                member.silent_seconds = 0.0
            member.tasks.append(number)
            with suppress(OSError):  # it ended: that will be heard, and the task is not begun
                member.pipe.send(Order(number, self._tasks[number]))

    def _start_member(self) -> None:
        self._members.append(_Member(*self._start_process()))

    def _hear(self, member: _Member) -> None:
        """Take all messages of a process."""
        try:
            self._take(member, member.pipe.recv())
            while member.pipe.poll():
                self._take(member, member.pipe.recv())
        except (EOFError, OSError):
            self._lose(member)

    def _take(self, member: _Member, message: Message) -> None:
        kind, number, content = message
        if kind == "up":
            member.is_up, self._false_starts = True, 0
        elif kind == "begun":
            member.begun = True
            self.at_work[number] = AtWork(time.monotonic())
        elif kind == "returned":
            member.tasks.remove(number)
            self._waiting.appendleft(number)
            return
        elif kind == "progress":
            member.is_long = True
            began = self.at_work[number].began
            self.at_work[number] = AtWork(began, content.item, content.seconds)
            earned = MEDIA_WORTH * content.gained
            member.silent_seconds = max(0.0, member.silent_seconds - earned)
            return
        elif kind == "result":
            member.is_long = True
            member.untaken += 1
            self._deliver(number, content)
        elif kind == "memory":
            self._finish(member, Failure("MemoryError", NO_MEMORY))
        else:
            self._finish(member, Raised(*content) if kind == "raised" else Done())
        member.silent_seconds = 0.0

    def _finish(self, member: _Member, outcome: Done | Failure | Raised) -> None:
        """Deliver the end of the task that a process is at."""
        number = member.tasks.popleft()
        member.begun, member.is_long, member.untaken = False, False, 0
        del self._tasks[number], self.at_work[number]
        self._deliver(number, outcome)

    def _check(self, member: _Member) -> None:
        """End a process that makes no progress; notice one that ended without a word."""
        if not member.is_timed or member.silent_seconds < min(TICK_SECONDS, self._limit(member)):
            return
        with suppress(OSError):
            if member.pipe.poll():  # a word came just now, or its end
                return
        if member.silent_seconds >= self._limit(member):
            member.process.kill()
            message = f"made no progress for {self._timeout:g} s"
            self._lose(member, Failure("TimeoutError", message))
        elif not member.process.is_alive():
            self._lose(member)

    def _lose(self, member: _Member, failure: Failure | None = None) -> None:
        """Deliver the failure of the task of a process that ended, and keep those not begun.

        Raises:
            ConfigError: processes end as soon as they are started.
        """
        member.process.join(JOIN_SECONDS)
        if member.process.is_alive():
            member.process.kill()
            member.process.join(JOIN_SECONDS)
        self._members.remove(member)
        member.pipe.close()
        if member.begun:
            how = how_it_ended(member.process.exitcode)
            self._finish(member, failure or Failure("ProcessExpired", how))
        self._waiting.extendleft(reversed(member.tasks))
        if member.is_up:
            return
        self._false_starts += 1
        if self._false_starts > MAX_RESTARTS:
            raise ConfigError(
                "the decode processes end as soon as they start. Call from a script under "
                '`if __name__ == "__main__":`, or use 0 workers.',
                "workers",
                self._most,
            )
