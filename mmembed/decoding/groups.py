"""Files that go to a decode process together, and what came of them so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from mmembed.decoding.messages import Answer, DecodeFailure, DecodeRequest

Key = TypeVar("Key")

GROUP_FILES = 16
GROUP_BYTES = 256 << 10


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


@dataclass(frozen=True)
class Decoded(Generic[Key]):
    """Some spans of a file, or why it, or some of its regions, have none.

    Attributes:
        key: of the file.
        first: number of the first span.
        answer: the values, or the problem.
        is_last: whether nothing more comes of the file.
        regions: the numbers of the regions of which nothing more comes; None where none were asked
            for.
    """

    key: Key
    first: int
    answer: Answer
    is_last: bool
    regions: tuple[int, ...] | None = None


@dataclass
class Group(Generic[Key]):
    """Files that are decoded in one task.

    Attributes:
        files: those of which not all came yet, with what is missing of the first.
        attempts: how often they were handed out.
        whole: number of files of which all came.
        came: how many segments of each region of the first file came.
        done: the regions of the first file of which nothing more comes.
        begun: the region of it that is decoded now, if it says so.
    """

    files: list[Wanted[Key]]
    attempts: int = 1
    whole: int = 0
    came: Counter[int] = field(default_factory=Counter)
    done: set[int] = field(default_factory=set)
    begun: int | None = None

    def take(self, answer: Answer) -> Decoded[Key]:
        """Return the next answer of the task as what came of its file."""
        wanted = self.files[0]
        first, is_last, regions = wanted.request.first, True, None
        if isinstance(answer, DecodeFailure):
            answer = replace(answer, attempts=self.attempts)
            if wanted.request.regions:
                regions = tuple(each.number for each in self.left()[0].request.regions)
        elif wanted.request.regions:
            self.came.update(answer.numbers)
            self.done.update(answer.done)
            self.begun = answer.begun
            is_last, regions = len(self.done) == len(wanted.request.regions), tuple(answer.done)
        else:
            request = replace(wanted.request, first=first + answer.taken)
            self.files[0] = replace(wanted, request=request)
            is_last = request.first >= answer.count
        if is_last:
            del self.files[0]
            self.whole += 1
            self.came, self.done, self.begun = Counter(), set(), None
        return Decoded(wanted.key, first, answer, is_last, regions)

    def left(self) -> list[Wanted[Key]]:
        """Return the files with what did not come yet."""
        if not self.files or not self.files[0].request.regions:
            return self.files
        request = self.files[0].request
        regions = tuple(
            replace(each, first=each.first + self.came[each.number])
            for each in request.regions
            if each.number not in self.done
        )
        return [replace(self.files[0], request=replace(request, regions=regions)), *self.files[1:]]


def groups(files: Iterable[Wanted[Key]]) -> Iterator[Group[Key]]:
    """Yield files in groups: small ones travel together."""
    group: list[Wanted[Key]] = []
    size = 0
    for wanted in files:
        if group and (len(group) >= GROUP_FILES or size + wanted.size_bytes > GROUP_BYTES):
            yield Group(group)
            group, size = [], 0
        group.append(wanted)
        size += wanted.size_bytes
    if group:
        yield Group(group)
