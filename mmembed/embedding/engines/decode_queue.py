"""Files through the decode workers, in groups, a bounded amount at a time.

Small files travel together, since handing a task over costs as much as decoding a thumbnail. If
a group's process dies or hangs, its files are tried again one by one, so that a bad file costs
only itself. Long media come in pieces. Nothing here knows models.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mmembed.decoding.messages import SEND_BYTES, DecodeFailure, DecodeRequest, Segments
from mmembed.embedding.engines.chunk import Chunk
from mmembed.media.guarded_pool import Failure, GuardedPool

GROUP_FILES = 16
GROUP_BYTES = 256 << 10
AHEAD_BYTES = 96 << 20
AHEAD_TASKS = 64
ATTEMPTS = 2

Answer = Segments | DecodeFailure
Pool = GuardedPool["Group", Sequence[DecodeRequest], list[Answer]]


@dataclass
class Group:
    """Files of one chunk that are decoded in one task."""

    chunk: Chunk
    numbers: list[int]
    requests: list[DecodeRequest]
    attempts: int = 1

    def alone(self) -> list[Group]:
        """Return a group for each file, for another attempt."""
        pairs = zip(self.numbers, self.requests, strict=True)
        return [Group(self.chunk, [n], [r], self.attempts + 1) for n, r in pairs]


def answers(
    chunks: Iterable[Chunk], pool: Pool, workers: int
) -> Iterator[tuple[Chunk, int, int, Answer]]:
    """Yield chunk, number of the file in it, first span, and what came of decoding it.

    Answers come in any order; a long file gives several pieces, in order.
    """
    fresh = _groups(chunks)
    again: deque[Group] = deque()
    fewest = workers * 2 if workers else 1
    depth, usual_bytes = fewest, SEND_BYTES
    ready: list[tuple[Chunk, int, int, Answer]] = []
    while True:
        while pool.in_flight < depth:
            group = again.popleft() if again else next(fresh, None)
            if group is None:
                break
            pool.submit(group, group.requests)
        yield from ready  # only now: the rest of a long file is decoded while these are embedded
        ready = []
        if not pool.in_flight:
            return
        group, outcome = pool.wait()
        if isinstance(outcome, Failure):
            ready = list(_failed(group, outcome, again))
            continue
        for number, request, answer in zip(group.numbers, group.requests, outcome, strict=False):
            if isinstance(answer, DecodeFailure):
                answer = replace(answer, attempts=group.attempts)
            elif request.first + answer.taken < answer.count:
                rest = replace(request, first=request.first + answer.taken)
                again.append(Group(group.chunk, [number], [rest], group.attempts))
            ready.append((group.chunk, number, request.first, answer))
        begun = len(outcome)
        if begun < len(group.numbers):
            later = Group(
                group.chunk, group.numbers[begun:], group.requests[begun:], group.attempts
            )
            again.append(later)
        if workers:
            sent = sum(a.size_bytes for a in outcome if isinstance(a, Segments))
            usual_bytes = max(sent, round(0.9 * usual_bytes), 1)
            depth = max(fewest, min(AHEAD_TASKS, AHEAD_BYTES // usual_bytes))


def _failed(
    group: Group, failure: Failure, again: deque[Group]
) -> Iterator[tuple[Chunk, int, int, Answer]]:
    crashed = failure.error != "TimeoutError"
    if len(group.numbers) > 1 or (crashed and group.attempts < ATTEMPTS):
        again.extend(group.alone())
        return
    request = group.requests[0]
    problem = DecodeFailure(
        "decode",
        failure.error,
        failure.message,
        attempts=group.attempts,
        modality=request.modality,
    )
    yield group.chunk, group.numbers[0], request.first, problem


def _groups(chunks: Iterable[Chunk]) -> Iterator[Group]:
    for chunk in chunks:
        group, size = Group(chunk, [], []), 0
        for number in sorted(chunk.undecoded):
            file = chunk.files[number]
            full = len(group.numbers) >= GROUP_FILES or size + (file.size or 0) > GROUP_BYTES
            if group.numbers and full:
                yield group
                group, size = Group(chunk, [], []), 0
            group.numbers.append(number)
            group.requests.append(DecodeRequest(file.location, file.modality))
            size += file.size or 0
        if group.numbers:
            yield group
