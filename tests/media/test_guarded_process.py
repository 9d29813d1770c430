"""A process of a pool keeps to its protocol: this test is the pool, at the other end of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import Pipe
from typing import Any

import pytest

from mmembed.media import progress
from mmembed.media.guarded_process import Gain, Message, Order, _Server, pickled
from tests.media.scripted_work import Step, work


def order(number: int, *steps: Step) -> Order:
    return Order(number, pickled(list(steps)))


@contextmanager
def serving(
    *orders: Order, does: Callable[[Any], Iterable[Any]] = work, told_seconds: float = 60.0
) -> Iterator[Any]:
    """The pool's end of the pipe to a server, which finds some orders there."""
    ours, theirs = Pipe()
    for each in orders:
        ours.send(each)

    def run() -> None:
        with suppress(EOFError, OSError):
            _Server(theirs, does, told_seconds).run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield ours
    finally:
        ours.close()
        thread.join(60)
        progress.listen(None)
    assert not thread.is_alive(), "it ends when the pool is gone"


def heard(pipe: Any, count: int) -> list[Message]:
    """The next messages, and nothing after them for a while."""
    messages = []
    for _ in range(count):
        assert pipe.poll(60)
        messages.append(pipe.recv())
    assert not pipe.poll(0.1)
    return messages


def test_a_task_is_begun_and_its_results_and_its_end_follow() -> None:
    with serving(order(7, ("give", "a"), ("give", "b"))) as pipe:
        assert heard(pipe, 5) == [
            Message("up"),
            Message("begun", 7),
            Message("result", 7, "a"),
            Message("result", 7, "b"),
            Message("end", 7),
        ]


def test_the_third_result_waits_until_one_of_the_same_task_is_taken() -> None:
    with serving(order(1, *[("give", number) for number in range(5)])) as pipe:
        assert heard(pipe, 4)[-1] == Message("result", 1, 1)
        pipe.send(Order(99))  # of a task of before
        assert heard(pipe, 0) == []
        for number in (2, 3, 4):
            pipe.send(Order(1))
            assert pipe.recv() == Message("result", 1, number)
        assert pipe.recv() == Message("end", 1)


def test_a_task_that_waits_is_kept_by_a_short_one_and_returned_by_a_long_one() -> None:
    short, following = order(1, ("give", "a")), order(2, ("give", "b"))
    with serving(short, following) as pipe:
        kinds = [(message.kind, message.number) for message in heard(pipe, 7)]
    assert kinds[1:] == [
        ("begun", 1),
        ("result", 1),
        ("end", 1),
        ("begun", 2),
        ("result", 2),
        ("end", 2),
    ]
    long = order(1, ("give", "a"), ("give", "b"))
    with serving(long, following) as pipe:
        kinds = [(message.kind, message.number) for message in heard(pipe, 6)]
    assert kinds[1:] == [("begun", 1), ("result", 1), ("returned", 2), ("result", 1), ("end", 1)]


def test_a_task_that_comes_while_results_wait_is_returned_at_once() -> None:
    with serving(order(1, *[("give", number) for number in range(3)])) as pipe:
        heard(pipe, 4)
        pipe.send(order(2, ("give", "b")))
        assert heard(pipe, 1) == [Message("returned", 2)]


def test_progress_says_how_much_media_was_gained() -> None:
    steps = [("report", 3.0), ("begin", 2), ("report", 5.0), ("report", 4.0), ("report", 7.5)]
    with serving(order(1, *steps), told_seconds=0.0) as pipe:
        told = [message.content for message in heard(pipe, 7) if message.kind == "progress"]
    assert told == [Gain(0, 3.0, 3.0), Gain(2, 0.0, inf), Gain(2, 5.0, 5.0), Gain(2, 7.5, 2.5)]
    with serving(order(1, *steps)) as pipe:
        assert [message.kind for message in heard(pipe, 3)] == ["up", "begun", "end"]


def test_a_long_task_returns_the_next_one_when_it_tells_progress() -> None:
    orders = order(1, ("report", 3.0)), order(2, ("give", "b"))
    with serving(*orders, told_seconds=0.0) as pipe:
        kinds = [message.kind for message in heard(pipe, 5)]
    assert kinds == ["up", "begun", "returned", "progress", "end"]


def test_progress_outside_a_task_is_told_to_nobody() -> None:
    with serving(told_seconds=0.0) as pipe:
        assert heard(pipe, 1) == [Message("up")]
        progress.report(5.0)
        assert heard(pipe, 0) == []


def exhausted(task: Any) -> Iterator[Any]:
    yield 1
    raise MemoryError


@pytest.mark.parametrize("step", [("fail", KeyError("no such")), ("unsendable", None)])
def test_an_error_arrives_with_where_it_came_from(step: Step) -> None:
    with serving(order(1, ("give", 0), step), order(2)) as pipe:
        messages = {message.kind: message for message in heard(pipe, 6)}
    error, trace = messages["raised"].content
    assert "no such" in str(error) or "1 and 2" in str(error)
    assert "scripted_work.py" in trace
    assert messages["end"].number == 2


def test_too_little_memory_is_said_as_such() -> None:
    with serving(order(1), does=exhausted) as pipe:
        assert heard(pipe, 4)[2:] == [Message("result", 1, 1), Message("memory", 1)]
