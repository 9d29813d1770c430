"""Regions over which a process is lost cost themselves; what came of others comes once."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmembed.decoding.groups import Wanted
from mmembed.decoding.messages import Answer, DecodeFailure, DecodeRequest
from mmembed.decoding.queue import DecodeQueue
from mmembed.decoding.worker import Decoder
from mmembed.media.audio import Waveform
from mmembed.media.spans import Span
from mmembed.preprocess.audio import AudioPreprocess
from tests.decoding.conftest import SOUNDS
from tests.decoding.test_region_values import request

Make = Callable[..., Any]
Store = Callable[[str, bytes], Path]


@dataclass(frozen=True)
class Fragile(AudioPreprocess):
    """A preprocess over which its process dies, or hangs, at sounds that start at some seconds."""

    fatal: tuple[float, ...] = ()
    once: str = ""
    hangs: bool = False

    def __call__(self, media: Waveform) -> Any:
        if media.start_seconds in self.fatal and not os.path.exists(self.once):
            if self.once:
                Path(self.once).touch()
            time.sleep(600) if self.hangs else os.kill(os.getpid(), 9)
        return super().__call__(media)


@dataclass(frozen=True)
class DiesAtTheFile:
    """A decoder whose process dies before it knows anything of a file."""

    def __call__(self, requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        os.kill(os.getpid(), 9)
        yield []


def outcome(decoder: Any, wanted: DecodeRequest, timeout: float = 60) -> dict[int, Any]:
    """Return the indices of the segments of each region, or its error; each is finished once."""
    came: dict[int, Any] = {each.number: [] for each in wanted.regions}
    finished: Counter[int] = Counter()
    last = []
    with DecodeQueue(decoder, 1, timeout) as queue:
        queue.put([Wanted("a.wav", wanted)])
        while not queue.is_empty:
            for decoded in queue.get():
                answer = decoded.answer
                assert decoded.regions is not None
                finished.update(decoded.regions)
                last.append(decoded.is_last)
                if isinstance(answer, DecodeFailure):
                    came |= dict.fromkeys(decoded.regions, (answer.error, answer.attempts))
                    continue
                for number, span in zip(answer.numbers, answer.spans, strict=True):
                    came[number].append(span.index if isinstance(span, Span) else None)
    assert finished == dict.fromkeys(came, 1)
    assert last == [False] * (len(last) - 1) + [True]
    return came


def sounds(**changes: Any) -> Fragile:
    return Fragile(**dataclasses.asdict(SOUNDS), **changes)


@pytest.fixture
def path(store: Store, pcm: Make, tone: Make) -> Path:
    return store("a.wav", pcm(tone(12, 8000), rate=8000))


@pytest.mark.parametrize(("hangs", "send_bytes"), [(False, 1), (False, 4 << 20), (True, 4 << 20)])
def test_a_region_that_crashes_or_hangs_its_process_costs_itself(
    hangs: bool, send_bytes: int, path: Path
) -> None:
    """Whether or not those before it were given away by then; with a long one around it."""
    regions = [Span(0, 0, 10), *(Span(0, i, i + 1) for i in range(1, 8)), Span(0, 3, 3.5)]
    decoder = Decoder({"audio": sounds(fatal=(5.0, 7.0), hangs=hangs)}, send_bytes)
    came = outcome(decoder, request(path, regions), 2 if hangs else 60)
    error = "TimeoutError" if hangs else "ProcessExpired", 2
    long = came.pop(10)
    assert long == list(range(13))
    expected = {number: [0] for number in range(11, 19)}
    assert came == expected | {15: error, 17: error}


def test_a_process_that_is_lost_by_chance_costs_no_region(path: Path, tmp_path: Path) -> None:
    """Segments that were given away before come once."""
    decoder = Decoder({"audio": sounds(fatal=(5.0,), once=str(tmp_path / "lost"))}, 40_000)
    regions = [Span(0, 0, 10), *(Span(0, i, i + 1) for i in range(8))]
    came = outcome(decoder, request(path, regions))
    assert (tmp_path / "lost").exists()
    assert came == {10: list(range(13)), **{number: [0] for number in range(11, 19)}}


def test_a_file_that_kills_its_process_at_once_costs_two_tries_and_all_regions(path: Path) -> None:
    came = outcome(DiesAtTheFile(), request(path, [Span(0, i, i + 1) for i in range(300)]))
    assert came == dict.fromkeys(range(10, 310), ("ProcessExpired", 2))
