"""Every file that is put in comes out once, whatever becomes of the processes, and few wait."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.decoding import queue as queues
from mmembed.decoding.groups import GROUP_BYTES, GROUP_FILES, Decoded, Wanted
from mmembed.decoding.messages import Answer, DecodeFailure, DecodeRequest, Segments
from mmembed.decoding.queue import AHEAD_TASKS, DecodeQueue, start_ahead
from tests.decoding.scripted import ScriptedDecoder


def wanted(*names: str, size_bytes: int = 0) -> list[Wanted[str]]:
    return [Wanted(name, DecodeRequest(name), size_bytes) for name in names]


def drained(queue: DecodeQueue[str]) -> Iterator[Decoded[str]]:
    while not queue.is_empty:
        yield from queue.get()


class Recorder:
    """A decoder that keeps the groups that it was given."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []

    def __call__(self, requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        self.groups.append([str(request.location) for request in requests])
        return ScriptedDecoder()(requests)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 4), st.data())
def test_every_span_of_every_file_comes_out_once_and_in_order(
    spans: list[int], most_spans: int, data: st.DataObject
) -> None:
    names = [f"{max(n, 1)}-{i}" if n else f"bad-{i}" for i, n in enumerate(spans)]
    cut = data.draw(st.integers(0, len(names)))
    came: dict[str, list[float]] = {name: [] for name in names}
    last: list[str] = []
    with DecodeQueue(ScriptedDecoder(most_spans), 0, 60) as queue:
        queue.put(wanted(*names[:cut]))
        queue.put(wanted(*names[cut:]))
        for decoded in drained(queue):
            assert decoded.key not in last
            assert decoded.first == len(came[decoded.key])
            if isinstance(decoded.answer, Segments):
                came[decoded.key] += [float(values[0]) for values in decoded.answer.values]
            if decoded.is_last:
                last.append(decoded.key)
    assert sorted(last) == sorted(names)
    for name, numbers in came.items():
        assert numbers == ([] if name.startswith("bad") else list(range(int(name[0]))))


def test_keys_may_be_anything_and_stay_in_this_process() -> None:
    keys = [object(), lambda: None, ["no hash"]]
    with DecodeQueue(ScriptedDecoder(), 1, 60) as queue:
        queue.put(Wanted(key, DecodeRequest("1-a")) for key in keys)
        came = [decoded.key for decoded in drained(queue)]  # type: ignore[arg-type]
    assert [any(key is other for other in came) for key in keys] == [True] * 3


def test_small_files_travel_together_and_large_ones_alone() -> None:
    decoder = Recorder()
    with DecodeQueue(decoder, 0, 60) as queue:
        queue.put(wanted(*(f"1-{i}" for i in range(GROUP_FILES + 1))))
        queue.put(wanted("1-x", "1-y", size_bytes=GROUP_BYTES // 2 + 1))
        queue.put(wanted("1-huge", size_bytes=10 * GROUP_BYTES))
        list(drained(queue))
    sizes = [len(group) for group in decoder.groups]
    assert sizes == [GROUP_FILES, 1, 1, 1, 1]
    assert decoder.groups[1] == [f"1-{GROUP_FILES}"], "files put in later are in no group with it"


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_files_are_taken_no_sooner_than_the_processes_need_them(workers: int) -> None:
    taken = 0

    def endless() -> Iterator[Wanted[str]]:
        nonlocal taken
        for taken in count(1):
            yield Wanted(f"1-{taken}", DecodeRequest(f"1-{taken}"))

    with DecodeQueue(ScriptedDecoder(), workers, 60) as queue:
        queue.put(endless())
        assert not queue.has_room
        assert taken <= GROUP_FILES * max(1, 2 * workers) + 1
        came = list(islice(drained(queue), 200))
        assert taken <= 200 + GROUP_FILES * (AHEAD_TASKS + 2)
    assert len({decoded.key for decoded in came}) == 200


def test_the_less_an_answer_takes_the_more_are_made_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "AHEAD_BYTES", 64 << 10)
    monkeypatch.setattr(queues, "SEND_BYTES", 64 << 10)
    ahead: dict[int, int] = {}
    for values in (1, 64 << 10):
        taken = came = 0

        def many() -> Iterator[Wanted[str]]:
            nonlocal taken
            for taken in count(1):
                yield Wanted(f"1-{taken}", DecodeRequest(f"1-{taken}"), GROUP_BYTES)

        with DecodeQueue(ScriptedDecoder(values=values), 2, 60) as queue:
            queue.put(many())
            while came < 100:
                came += len(queue.get())
            ahead[values] = taken - came
    assert ahead[64 << 10] <= 5
    assert ahead[1] >= AHEAD_TASKS - 1


def test_room_is_where_processes_would_wait() -> None:
    with DecodeQueue(ScriptedDecoder(), 2, 60) as queue:
        assert queue.is_empty
        assert queue.has_room
        queue.put(wanted(*(f"1-{i}" for i in range(4)), size_bytes=GROUP_BYTES))
        assert not queue.has_room
        assert not queue.is_empty
        assert len(list(drained(queue))) == 4
        assert queue.is_empty
        assert queue.has_room
        assert queue.is_ahead


def test_a_crash_costs_its_file_only_and_is_tried_twice() -> None:
    names = [*(f"1-{i}" for i in range(20)), "crash-1", *(f"2-{i}" for i in range(20)), "crash-2"]
    with DecodeQueue(ScriptedDecoder(), 2, 60) as queue:
        queue.put(wanted(*names))
        came = {decoded.key: decoded for decoded in drained(queue)}
    assert set(came) == {*names}
    for name, decoded in came.items():
        assert decoded.is_last
        assert isinstance(decoded.answer, DecodeFailure) == name.startswith("crash")
        if isinstance(decoded.answer, DecodeFailure):
            assert decoded.answer.error == "ProcessExpired"
            assert "crashed its process (signal 9)" in decoded.answer.message
            assert (decoded.answer.attempts, decoded.answer.advice) == (2, "")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_of_the_decoder_itself_is_not_hidden(workers: int) -> None:
    with DecodeQueue(ScriptedDecoder(), workers, 60) as queue:
        queue.put(wanted("bug"))
        with pytest.raises(ZeroDivisionError, match="a bug"):
            queue.get()


def test_the_end_of_the_block_ends_the_processes_whatever_they_are_at() -> None:
    start_ahead()
    with suppress(KeyboardInterrupt), DecodeQueue(ScriptedDecoder(), 1, 600) as queue:
        queue.put(wanted("process", size_bytes=GROUP_BYTES))
        queue.put(wanted("hang"))
        (decoded,) = queue.get()
        assert isinstance(decoded.answer, Segments)
        process = int(decoded.answer.values[0][0])
        assert exists(process)
        raise KeyboardInterrupt
    deadline = time.monotonic() + 30
    while exists(process) and time.monotonic() < deadline:  # it may have to be reaped yet
        time.sleep(0.01)
    assert not exists(process)


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
