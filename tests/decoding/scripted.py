"""A decoder that does to each file what its name says, in whatever process it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.decoding.messages import Answer, DecodeFailure, DecodeRequest, Segments
from mmembed.media import progress

STEP_SECONDS = 0.25


@dataclass(frozen=True)
class ScriptedDecoder:
    """``3-a`` has three spans, of its own numbers; ``crash…``, ``hang…`` and ``bad…`` do so.

    ``6-dies4`` kills its process on the way to span 4, unless all before came out; ``6-slow`` takes
    half a second a span; ``1-far`` takes five to its span and reports where it is; ``1-spins``
    does so for ever and comes forward by a hair; ``1-stands`` without coming forward.

    Args:
        spans: most spans an answer, and a piece.
        values: numbers a span.
    """

    spans: int = 100
    values: int = 1

    def __call__(self, requests: Sequence[DecodeRequest]) -> Iterator[list[Answer]]:
        piece: list[Answer] = []
        room = self.spans
        for number, request in enumerate(requests):
            progress.begin(number)
            for answer in self.decode(request):
                piece.append(answer)
                room -= answer.taken if isinstance(answer, Segments) else 0
                if room <= 0:
                    yield piece
                    piece, room = [], self.spans
        if piece:
            yield piece

    def decode(self, request: DecodeRequest) -> Iterator[Answer]:
        name = str(request.location)
        if name.startswith("crash"):
            os.kill(os.getpid(), 9)
        if name.startswith("hang"):
            time.sleep(600)
        if name.startswith("bug"):
            raise ZeroDivisionError("a bug")
        if name.startswith("bad"):
            yield DecodeFailure("decode", "MediaError", "is bad")
        elif name.startswith("process"):
            yield Segments("audio", 1, [None], [np.array([os.getpid()])], 1)
        else:
            yield from self.segments(request, *name.split("-"))

    def segments(self, request: DecodeRequest, count: str, how: str) -> Iterator[Segments]:
        end = int(count)
        for first in range(request.first, end, self.spans):
            numbers = range(first, min(end, first + self.spans))
            if how.startswith("dies") and request.first < int(how[4:]) in numbers:
                os.kill(os.getpid(), 9)
            for step in range(STEPS.get(how, 0)):
                time.sleep(STEP_SECONDS)
                progress.report({"far": 10.0, "spins": 1e-4, "stands": 0.0}.get(how, 0.0) * step)
            values = [np.full(self.values, number, np.float32) for number in numbers]
            yield Segments("audio", end, [None] * len(values), values, len(values))


STEPS = {"slow": 2, "far": 20, "spins": 2400, "stands": 2400}
