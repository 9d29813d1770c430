"""The dispatcher starts, feeds and watches processes: acted ones, so that each turn is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing import Pipe
from queue import Queue
from typing import Any

import pytest

from mmembed.errors import ConfigError
from mmembed.media.dispatcher import MAX_RESTARTS, SMALL_BYTES, Dispatcher
from mmembed.media.guarded_process import Gain, Message, Order
from mmembed.media.task_outcome import Done, Failure, Raised, how_it_ended


class Acted:
    """A process that a test plays."""

    def __init__(self) -> None:
        self.pipe, theirs = Pipe()
        self.theirs = theirs
        self.exitcode: int | None = None

    def tell(self, *messages: Message) -> None:
        for message in messages:
            self.pipe.send(message)

    def order(self) -> tuple[int, bytes | None]:
        assert self.pipe.poll(60)
        return tuple(self.pipe.recv())

    def end(self, code: int) -> None:
        self.exitcode = code
        self.pipe.close()

    def kill(self) -> None:
        if self.exitcode is None:
            self.end(-9)

    def join(self, seconds: float) -> None:
        pass

    def is_alive(self) -> bool:
        return self.exitcode is None


class Stage:
    """A dispatcher, the processes that it started, and what it delivered."""

    def __init__(self, most: int, timeout_seconds: float = 60.0) -> None:
        self.started: Queue[Acted] = Queue()
        self.delivered: Queue[tuple[int, Any]] = Queue()
        self.dispatcher = Dispatcher(
            self.start, most, timeout_seconds, lambda *each: self.delivered.put(each)
        )

    def start(self) -> tuple[Acted, Any]:
        acted = Acted()
        self.started.put(acted)
        return acted, acted.theirs

    def process(self) -> Acted:
        """The next process that was started, which is up."""
        acted = self.started.get(timeout=60)
        acted.tell(Message("up"))
        return acted

    def next(self) -> tuple[int, Any]:
        return self.delivered.get(timeout=60)


@pytest.fixture
def stage() -> Iterator[Stage]:
    staged = Stage(2)
    yield staged
    staged.dispatcher.close()


def test_the_first_process_starts_at_once_and_more_where_tasks_wait(stage: Stage) -> None:
    first = stage.process()
    time.sleep(0.1)
    assert stage.started.empty()
    stage.dispatcher.send(Order(1, b"one"))
    assert first.order() == (1, b"one")
    stage.dispatcher.send(Order(2, b"two"))
    assert stage.process().order() == (2, b"two")
    stage.dispatcher.send(Order(3, b"three"))
    time.sleep(0.1)
    assert stage.started.empty(), "no more than there may be"


def test_a_small_task_waits_at_a_process_and_a_large_one_does_not(stage: Stage) -> None:
    first = stage.process()
    stage.dispatcher.send(Order(1, b"one"))
    first.order()
    stage.dispatcher.send(Order(2, b"two"))
    second = stage.process()
    second.order()
    stage.dispatcher.send(Order(3, b"small"))
    assert first.order() == (3, b"small")
    stage.dispatcher.send(Order(4, bytes(SMALL_BYTES + 1)))
    assert not second.pipe.poll(0.2)
    second.tell(Message("begun", 2), Message("end", 2))
    assert second.order() == (4, bytes(SMALL_BYTES + 1))
    assert stage.next() == (2, Done())


def test_a_process_that_ends_fails_what_it_began_and_what_waited_goes_on(stage: Stage) -> None:
    first = stage.process()
    stage.dispatcher.send(Order(1, b"one"))
    first.order()
    stage.dispatcher.send(Order(2, b"two"))
    second = stage.process()
    second.order()
    stage.dispatcher.send(Order(3, b"three"))
    assert first.order() == (3, b"three")
    first.tell(Message("begun", 1), Message("result", 1, "some"))
    first.end(-11)
    assert stage.next() == (1, "some")
    crashed = "the decoder crashed its process (signal 11)"
    assert stage.next() == (1, Failure("ProcessExpired", crashed))
    assert stage.process().order() == (3, b"three")
    second.end(1)  # it had not begun
    assert stage.process().order() == (2, b"two")


def test_a_returned_task_goes_to_another_process(stage: Stage) -> None:
    first = stage.process()
    stage.dispatcher.send(Order(1, b"one"))
    first.order()
    stage.dispatcher.send(Order(2, b"two"))
    second = stage.process()
    second.order()
    stage.dispatcher.send(Order(3, b"three"))
    assert first.order() == (3, b"three")
    gain = Gain(0, 5.0, 5.0)
    first.tell(Message("begun", 1), Message("progress", 1, gain), Message("returned", 3))
    assert second.order() == (3, b"three")
    assert stage.dispatcher.at_work[1].media_seconds == 5.0
    second.tell(Message("begun", 2), Message("end", 2), Message("begun", 3), Message("end", 3))
    assert [stage.next(), stage.next()] == [(2, Done()), (3, Done())]


def test_a_process_is_told_what_was_taken_of_its_task_at_work(stage: Stage) -> None:
    first = stage.process()
    stage.dispatcher.send(Order(1, b"one"))
    first.order()
    first.tell(Message("begun", 1), Message("result", 1, "a"), Message("result", 1, "b"))
    assert [stage.next(), stage.next()] == [(1, "a"), (1, "b")]
    assert stage.dispatcher.is_held_up
    stage.dispatcher.send(Order(1))
    assert first.order() == (1, None)
    assert not stage.dispatcher.is_held_up
    first.tell(Message("end", 1))
    assert stage.next() == (1, Done())
    stage.dispatcher.send(Order(1))  # of a task that is done
    assert not first.pipe.poll(0.2)


def test_processes_that_end_before_they_are_up_are_said_once(stage: Stage) -> None:
    stage.dispatcher.send(Order(1, b"one"))
    for _ in range(MAX_RESTARTS + 1):
        stage.started.get(timeout=60).end(1)
    number, outcome = stage.next()
    assert number == 0
    assert isinstance(outcome, Raised)
    assert isinstance(outcome.error, ConfigError)
    assert "the decode processes end as soon as they start" in str(outcome.error)


def test_a_process_without_a_word_is_killed_at_the_limit() -> None:
    stage = Stage(1, timeout_seconds=0.5)
    process = stage.process()
    stage.dispatcher.send(Order(1, b"one"))
    process.order()
    process.tell(Message("begun", 1))
    began = time.monotonic()
    assert stage.next() == (1, Failure("TimeoutError", "made no progress for 0.5 s"))
    assert time.monotonic() - began >= 0.4
    assert process.exitcode == -9
    stage.dispatcher.close()


@pytest.mark.parametrize(
    ("code", "says"),
    [(-9, "crashed its process (signal 9)"), (3, "(exit code 3)"), (None, "(exit code None)")],
)
def test_how_a_process_ended_is_said(code: int | None, says: str) -> None:
    assert how_it_ended(code).endswith(says)
