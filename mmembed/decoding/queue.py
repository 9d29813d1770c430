"""Queue of files to decode: guarded processes work ahead, a bounded amount at a time.

Small files travel together, since handing a task over costs as much as decoding a thumbnail. If
a group's process dies or hangs, its files are tried again one by one, so that a bad file costs
only itself. Long media come in pieces from one process that goes on with them; if it dies, another
decodes what did not come yet. Nothing here knows models, or what the keys stand for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import TracebackType
from typing import Generic, TypeVar

from mmembed.decoding.groups import Decoded, Group, Wanted, groups
from mmembed.decoding.messages import (
    SEND_BYTES,
    Answer,
    DecodeFailure,
    DecodeRequest,
    Segments,
)
from mmembed.media.fresh_process import start_server
from mmembed.media.guarded_pool import GuardedPool
from mmembed.media.task_outcome import Done, Failure

Key = TypeVar("Key")

MODULES = ["mmembed.decoding.worker"]  # imported once, for all processes
AHEAD_BYTES = 96 << 20
AHEAD_TASKS = 64
ATTEMPTS = 2
LOOK_SECONDS = 1.0
ADVICE = {"TimeoutError": "timeout", "MemoryError": "memory_mb"}
# The model's threads wait for one another in every layer: a decoder that takes the core of one of
# them holds up all. So decoders take what is left, which is also all there is while it waits.
NICENESS = 10


@dataclass(frozen=True)
class InWork(Generic[Key]):
    """A file that a process is at.

    Attributes:
        key: of the file.
        others: number of files that came with it and may be the one as well.
        seconds: how long the process is at it, or at them.
        media_seconds: of its media, decoded so far.
    """

    key: Key
    others: int
    seconds: float
    media_seconds: float


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
        timeout_seconds: a file, or a group of them, without progress for longer is stopped.
        memory_bytes: most memory of a process (on Linux); None for no limit.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[DecodeRequest]], Iterable[list[Answer]]],
        workers: int,
        timeout_seconds: float,
        memory_bytes: int | None = None,
    ) -> None:
        self._pool: GuardedPool[Group[Key], Sequence[DecodeRequest], list[Answer]] = GuardedPool(
            decode, workers, timeout_seconds, MODULES, NICENESS, memory_bytes
        )
        self._workers = workers
        self._fresh: Iterator[Group[Key]] = iter(())
        self._again: deque[Group[Key]] = deque()
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
        return self._pool.backlog < self._depth

    @property
    def is_ahead(self) -> bool:
        """Whether the processes have little to do."""
        return self._pool.idle

    @property
    def in_work(self) -> list[InWork[Key]]:
        """The files that processes are at."""
        now = time.monotonic()
        files = []
        for group, at in self._pool.at_work:
            first = 0 if at.item is None else max(0, at.item - group.whole)
            if first < len(group.files):
                others = len(group.files) - 1 if at.item is None else 0
                seconds = now - at.began
                files.append(InWork(group.files[first].key, others, seconds, at.media_seconds))
        return files

    def put(self, files: Iterable[Wanted[Key]]) -> None:
        """Add files, which are taken as the processes get to them, and share no group with others.

        No more than :attr:`has_room` asks for should be put in: what waits here takes memory.
        """
        self._fresh = chain(self._fresh, groups(files))
        self._hand_out()

    def get(self) -> list[Decoded[Key]]:
        """Wait for a piece of a group, but not long; return what came of its files, maybe nothing.

        More is handed out before, so that the processes are at work while these are used.

        Raises:
            ConfigError: the processes end as soon as they start.
        """
        if not self._pool.poll(LOOK_SECONDS):
            return []
        group, outcome = self._pool.wait()
        if isinstance(outcome, Failure):
            decoded = self._failed(group, outcome)
        elif isinstance(outcome, Done):
            decoded = []
            if group.files:
                raise ValueError(f"the decoder left {len(group.files)} files without a word")
        else:
            decoded = [group.take(answer) for answer in outcome]
            if self._workers:
                self._adapt(sum(a.size_bytes for a in outcome if isinstance(a, Segments)))
        self._hand_out()
        return decoded

    def _hand_out(self) -> None:
        while self._pool.backlog < self._depth:
            group = self._again.popleft() if self._again else next(self._fresh, None)
            if group is None:
                return
            self._pool.submit(group, [wanted.request for wanted in group.files])

    def _failed(self, group: Group[Key], failure: Failure) -> list[Decoded[Key]]:
        """Try the files again, each alone; what was tried often enough has a problem.

        A file whose regions were wanted is asked for them one by one, so that the one that the
        process is lost over has the problem, and the others go on.
        """
        crashed = failure.error == "ProcessExpired"
        files = group.left()
        if not files:  # all of them came before
            return []
        alone, request = len(files) == 1, files[0].request
        again = alone and request.regions and not request.one_by_one
        if again or not alone or (crashed and group.attempts < ATTEMPTS):
            if again:
                files = [replace(files[0], request=replace(request, one_by_one=True))]
            self._again.extend(Group([wanted], group.attempts + 1) for wanted in files)
            return []
        problem = DecodeFailure(
            "decode",
            failure.error,
            failure.message,
            attempts=group.attempts,
            modality=request.field,
            advice=ADVICE.get(failure.error, ""),
        )
        others = [each for each in request.regions if each.number != group.begun]
        if group.begun is None or not others:
            return [group.take(problem)]
        rest = replace(files[0], request=replace(request, regions=tuple(others)))
        self._again.append(Group([rest], group.attempts))
        return [Decoded(files[0].key, 0, problem, False, (group.begun,))]

    def _adapt(self, sent_bytes: int) -> None:
        """Have as many groups in flight as answers of this size fit into memory."""
        self._usual_bytes = max(sent_bytes, round(0.9 * self._usual_bytes), 1)
        self._depth = max(self._fewest, min(AHEAD_TASKS, AHEAD_BYTES // self._usual_bytes))


def start_ahead() -> None:
    """Start the process that those of all queues come from, and return while it gets ready."""
    start_server(MODULES)
