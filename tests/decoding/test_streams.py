"""Long files come from one process, span after span, and a file at work for long may be so."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from mmembed.decoding import queue as queues
from mmembed.decoding.groups import GROUP_BYTES, Decoded
from mmembed.decoding.messages import Answer, DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.queue import DecodeQueue, InWork
from tests.decoding.scripted import ScriptedDecoder
from tests.decoding.test_queue import drained, wanted

Came = dict[str, list[Decoded[str]]]


def all_of(queue: DecodeQueue[str], *names: str, size_bytes: int = 0) -> Came:
    came: Came = defaultdict(list)
    queue.put(wanted(*names, size_bytes=size_bytes))
    for decoded in drained(queue):
        came[decoded.key].append(decoded)
    return came


def numbers(came: Sequence[Decoded[str]]) -> list[int]:
    """The numbers of the spans of a file."""
    answers = [decoded.answer for decoded in came]
    return [int(v[0]) for a in answers if isinstance(a, Segments) for v in a.values]


def test_pieces_of_a_file_come_while_it_is_decoded_and_in_order() -> None:
    with DecodeQueue(ScriptedDecoder(spans=2), 1, 60) as queue:
        came = all_of(queue, "5-long", "crash", "1-a")
    assert [decoded.first for decoded in came["5-long"]] == [0, 2, 4]
    assert [decoded.is_last for decoded in came["5-long"]] == [False, False, True]
    assert len(came["crash"]) == len(came["1-a"]) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_killed_on_the_way_costs_no_span_and_repeats_none(workers: int) -> None:
    with DecodeQueue(ScriptedDecoder(spans=1), workers, 60) as queue:
        came = all_of(queue, "9-dies4", "2-a", "3-dies1", size_bytes=GROUP_BYTES)
    for name, count in (("9-dies4", 9), ("2-a", 2), ("3-dies1", 3)):
        assert numbers(came[name]) == list(range(count))
        assert [decoded.is_last for decoded in came[name]] == [False] * (count - 1) + [True]


def test_a_process_killed_before_it_gave_anything_away_has_its_files_tried_alone() -> None:
    with DecodeQueue(ScriptedDecoder(spans=100), 1, 60) as queue:
        came = all_of(queue, "2-a", "9-dies4", "2-b")
    assert [len(each) for each in came.values()] == [1, 1, 1]
    assert numbers(came["2-a"]) == numbers(came["2-b"]) == [0, 1]
    (dead,) = came["9-dies4"]
    assert isinstance(dead.answer, DecodeFailure)
    assert (dead.answer.error, dead.answer.attempts) == ("ProcessExpired", 2)


def test_a_file_that_hangs_is_stopped_and_its_group_decoded() -> None:
    with DecodeQueue(ScriptedDecoder(), 2, 1.0) as queue:
        began = time.monotonic()
        came = all_of(queue, "1-a", "hang", "1-b")
        assert time.monotonic() - began < 60
    assert numbers(came["1-a"]) == numbers(came["1-b"]) == [0]
    (hung,) = came["hang"]
    assert isinstance(hung.answer, DecodeFailure)
    assert (hung.answer.error, hung.answer.message) == (
        "TimeoutError",
        "made no progress for 1 s",
    )
    assert hung.answer.advice == "timeout"


def test_a_file_may_take_many_times_the_limit_if_it_comes_forward() -> None:
    """By spans, or by what it reports on the way to one; in time alone is not forward."""
    with DecodeQueue(ScriptedDecoder(spans=1), 2, 1.5) as queue:
        came: Came = defaultdict(list)
        began, seconds = time.monotonic(), {}
        names = ("10-slow", "1-far", "1-spins", "1-stands")
        queue.put(wanted(*names, size_bytes=GROUP_BYTES))
        for decoded in drained(queue):
            came[decoded.key].append(decoded)
            seconds[decoded.key] = time.monotonic() - began
    assert numbers(came["10-slow"]) == list(range(10))
    assert numbers(came["1-far"]) == [0]
    assert min(seconds["10-slow"], seconds["1-far"]) > 3 * 1.5
    for name in ("1-spins", "1-stands"):
        (stopped,) = came[name]
        assert isinstance(stopped.answer, DecodeFailure)
        assert stopped.answer.message == "made no progress for 1.5 s"
        assert seconds[name] < 30


def test_a_file_at_work_is_named_with_the_media_decoded_so_far() -> None:
    seen: list[InWork[str]] = []
    with DecodeQueue(ScriptedDecoder(), 1, 60) as queue:
        queue.put(wanted("1-far", size_bytes=GROUP_BYTES))
        while not queue.is_empty:
            queue.get()
            seen += queue.in_work
        assert queue.in_work == []
    assert {(each.key, each.others) for each in seen} == {("1-far", 0)}
    decoded = [each.media_seconds for each in seen]
    assert decoded == sorted(decoded)
    assert 10 <= decoded[-1] <= 190
    assert seen[-1].seconds > 2


def test_the_file_of_a_group_that_takes_long_is_told_from_the_others() -> None:
    with DecodeQueue(ScriptedDecoder(), 1, 60) as queue:
        queue.put(wanted("1-a", "1-b", "1-far", "1-c"))
        seen: list[InWork[str]] = []
        while not queue.is_empty:
            queue.get()
            seen += queue.in_work
    named = [(each.key, each.others) for each in seen if each.media_seconds]
    assert set(named) == {("1-far", 0)}
    assert {each.others for each in seen if not each.media_seconds} <= {3, 0}


def test_a_decoder_here_gives_away_piece_by_piece_too() -> None:
    made: list[int] = []

    def decode(requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        for number in range(4):
            made.append(number)
            yield [Segments("audio", 4, [None], [np.zeros(1)], 1)]

    with DecodeQueue(decode, 0, 60) as queue:
        queue.put(wanted("any"))
        for number in range(4):
            (decoded,) = queue.get()
            assert (decoded.first, decoded.is_last) == (number, number == 3)
            assert made == list(range(number + 1))


def test_a_decoder_that_leaves_a_file_out_is_a_mistake_of_the_program() -> None:
    def silent(requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        return iter(())

    with DecodeQueue(silent, 0, 60) as queue:
        queue.put(wanted("a", "b"))
        with pytest.raises(ValueError, match="left 2 files without a word"):
            queue.get()


def test_what_waits_of_long_files_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has two pieces ahead at most, however long nobody takes them."""
    monkeypatch.setattr(queues, "AHEAD_BYTES", 1)
    with DecodeQueue(ScriptedDecoder(spans=1), 2, 60) as queue:
        queue.put(wanted("500-a", "500-b", "500-c", size_bytes=GROUP_BYTES))
        deadline = time.monotonic() + 60
        while not queue._pool._dispatcher.is_held_up and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)
        assert queue._pool._results == 4
        assert queue.is_ahead
        came: Came = defaultdict(list)
        for decoded in drained(queue):
            came[decoded.key].append(decoded)
            assert queue._pool._results <= 4
    assert {name: numbers(each) for name, each in came.items()} == {
        f"500-{letter}": list(range(500)) for letter in "abc"
    }


def test_one_process_decodes_a_long_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    with DecodeQueue(ProcessOfSpans(), 2, 60) as queue:
        came = all_of(queue, "a", "b", size_bytes=GROUP_BYTES)
    for each in came.values():
        assert len(set(numbers(each))) == 1
        assert len(numbers(each)) == 50


class ProcessOfSpans:
    """A decoder whose spans hold the number of the process that made them."""

    def __call__(self, requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        for _ in requests:
            for _ in range(50):
                yield [Segments("audio", 50, [None], [np.array([os.getpid()])], 1)]
