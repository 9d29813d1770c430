"""Queue of files to decode: guarded processes work ahead, a bounded amount at a time.

Small files travel together, since handing a task over costs as much as decoding a thumbnail. If
a group's process dies or hangs, its files are tried again one by one, so that a bad file costs
only itself. Long media come in pieces. Nothing here knows models, or what the keys stand for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import TracebackType
from typing import Generic, TypeVar

from mmembed.decoding.messages import SEND_BYTES, DecodeFailure, DecodeRequest, Segments
from mmembed.media.fresh_process import start_server
from mmembed.media.guarded_pool import Failure, GuardedPool

Key = TypeVar("Key")
Answer = Segments | DecodeFailure

MODULES = ["mmembed.decoding.worker"]  # imported once, for all processes
GROUP_FILES = 16
GROUP_BYTES = 256 << 10
AHEAD_BYTES = 96 << 20
AHEAD_TASKS = 64
ATTEMPTS = 2
# The model's threads wait for one another in every layer: a decoder that takes the core of one of
# them holds up all. So decoders take what is left, which is also all there is while it waits.
NICENESS = 10


@dataclass(frozen=True)
class Wanted(Generic[Key]):
    """A file to decode.

    Attributes:
        key: comes back with the answer.
        request: sent to a decode process.
        size_bytes: of the file, 0 if it is not known.
    """

    key: Key
    request: DecodeRequest
    size_bytes: int = 0

    @property
    def regions(self) -> tuple[int, ...]:
        """The numbers of the regions that are asked for."""
        return tuple(each.number for each in self.request.regions)

    def by_region(self) -> list[Wanted[Key]]:
        """Return the file once for each region of it; itself where all of it is wanted."""
        if not self.request.regions:
            return [self]
        alone = [replace(self.request, regions=(r,), first=0) for r in self.request.regions]
        return [replace(self, request=request) for request in alone]


@dataclass(frozen=True)
class Decoded(Generic[Key]):
    """Some spans of a file, or why it has none.

    Attributes:
        key: of the file.
        first: number of the first span.
        answer: the values, or the problem.
        is_last: whether nothing more comes of the file.
        regions: the numbers of the regions that were asked for.
    """

    key: Key
    first: int
    answer: Answer
    is_last: bool
    regions: tuple[int, ...] = ()


class DecodeQueue(Generic[Key]):
    """Decodes files ahead of their use; answers come in any order, the pieces of a file in theirs.

    >>> with DecodeQueue(Decoder(preprocess), workers=2, timeout_seconds=60) as queue:
    ...     queue.put(Wanted(path, DecodeRequest(path)) for path in paths)
    ...     while not queue.is_empty:
    ...         for decoded in queue.get():
    ...             print(decoded.key, decoded.answer)

    Args:
        decode: as :class:`~mmembed.decoding.worker.Decoder`.
        workers: processes; 0 decodes in this one when :meth:`get` is called.
        timeout_seconds: a group of files that takes longer is stopped.
        memory_bytes: most memory of a process (on Linux); None for no limit.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[DecodeRequest]], list[Answer]],
        workers: int,
        timeout_seconds: float,
        memory_bytes: int | None = None,
    ) -> None:
        self._pool: GuardedPool[_Group[Key], Sequence[DecodeRequest], list[Answer]] = GuardedPool(
            decode, workers, timeout_seconds, MODULES, NICENESS, memory_bytes
        )
        self._workers = workers
        self._fresh: Iterator[_Group[Key]] = iter(())
        self._again: deque[_Group[Key]] = deque()
        self._fewest = self._depth = workers * 2 if workers else 1
        self._usual_bytes = SEND_BYTES

    def __enter__(self) -> DecodeQueue[Key]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    @property
    def is_empty(self) -> bool:
        """Whether every answer came out."""
        return not self._pool.in_flight

    @property
    def has_room(self) -> bool:
        """Whether processes would wait for files that were not put in yet."""
        return self._pool.in_flight < self._depth

    @property
    def is_ahead(self) -> bool:
        """Whether the processes have little to do."""
        return self._pool.idle

    def put(self, files: Iterable[Wanted[Key]]) -> None:
        """Add files, which are taken as the processes get to them, and share no group with others.

        No more than :attr:`has_room` asks for should be put in: what waits here takes memory.
        """
        self._fresh = chain(self._fresh, _groups(files))
        self._hand_out()

    def get(self) -> list[Decoded[Key]]:
        """Wait for a group; return what came of its files, maybe nothing yet.

        More is handed out before, so that the processes are at work while these are used.

        Raises:
            ConfigError: the processes end as soon as they start.
        """
        group, outcome = self._pool.wait()
        if isinstance(outcome, Failure):
            decoded = self._failed(group, outcome)
        else:
            decoded = [
                self._answered(group, wanted, answer)
                for wanted, answer in zip(group.files, outcome, strict=False)
            ]
            if left := group.files[len(outcome) :]:
                self._again.append(_Group(left, group.attempts))
            if self._workers:
                self._adapt(sum(a.size_bytes for a in outcome if isinstance(a, Segments)))
        self._hand_out()
        return decoded

    def _hand_out(self) -> None:
        while self._pool.in_flight < self._depth:
            group = self._again.popleft() if self._again else next(self._fresh, None)
            if group is None:
                return
            self._pool.submit(group, [wanted.request for wanted in group.files])

    def _answered(self, group: _Group[Key], wanted: Wanted[Key], answer: Answer) -> Decoded[Key]:
        first, is_last = wanted.request.first, True
        if isinstance(answer, DecodeFailure):
            answer = replace(answer, attempts=group.attempts)
        elif answer.rest is not None or first + answer.taken < answer.count:
            is_last = False
            rest = answer.rest or replace(wanted.request, first=first + answer.taken)
            self._again.append(_Group([replace(wanted, request=rest)], group.attempts))
        return Decoded(wanted.key, first, answer, is_last, wanted.regions)

    def _failed(self, group: _Group[Key], failure: Failure) -> list[Decoded[Key]]:
        """Try the files again, each alone, and then each region alone.

        What was tried often enough has a problem.
        """
        crashed = failure.error != "TimeoutError"
        files = group.files if len(group.files) > 1 else group.files[0].by_region()
        if len(files) > 1 or (crashed and group.attempts < ATTEMPTS):
            self._again.extend(_Group([wanted], group.attempts + 1) for wanted in files)
            return []
        (wanted,) = group.files
        problem = DecodeFailure(
            "decode",
            failure.error,
            failure.message,
            attempts=group.attempts,
            modality=wanted.request.field,
            advice="" if crashed else "timeout",
        )
        return [Decoded(wanted.key, wanted.request.first, problem, True, wanted.regions)]

    def _adapt(self, sent_bytes: int) -> None:
        """Have as many groups in flight as answers of this size fit into memory."""
        self._usual_bytes = max(sent_bytes, round(0.9 * self._usual_bytes), 1)
        self._depth = max(self._fewest, min(AHEAD_TASKS, AHEAD_BYTES // self._usual_bytes))


def start_ahead() -> None:
    """Start the process that those of all queues come from, and return while it gets ready."""
    start_server(MODULES)


@dataclass
class _Group(Generic[Key]):
    """Files that are decoded in one task."""

    files: list[Wanted[Key]]
    attempts: int = 1


def _groups(files: Iterable[Wanted[Key]]) -> Iterator[_Group[Key]]:
    group: list[Wanted[Key]] = []
    size = 0
    for wanted in files:
        if group and (len(group) >= GROUP_FILES or size + wanted.size_bytes > GROUP_BYTES):
            yield _Group(group)
            group, size = [], 0
        group.append(wanted)
        size += wanted.size_bytes
    if group:
        yield _Group(group)
