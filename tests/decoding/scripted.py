"""A decoder that does to each file what its name says, in whatever process it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.decoding.messages import DecodeFailure, DecodeRequest, Segments


@dataclass(frozen=True)
class ScriptedDecoder:
    """``3-a`` has three spans, of its own numbers; ``crash…``, ``hang…`` and ``bad…`` do so.

    Args:
        spans: most spans an answer.
        files: most files an answer; the rest of the group is to be asked for again.
        values: numbers a span.
    """

    spans: int = 100
    files: int = 100
    values: int = 1

    def __call__(self, requests: Sequence[DecodeRequest]) -> list[Segments | DecodeFailure]:
        return [self.decode(request) for request in requests[: self.files]]

    def decode(self, request: DecodeRequest) -> Segments | DecodeFailure:
        name = str(request.location)
        if name.startswith("crash"):
            os.kill(os.getpid(), 9)
        if name.startswith("hang"):
            time.sleep(600)
        if name.startswith("bug"):
            raise ZeroDivisionError("a bug")
        if name.startswith("bad"):
            return DecodeFailure("decode", "MediaError", "is bad")
        if name.startswith("process"):
            return Segments("audio", 1, [None], [np.array([os.getpid()])], 1)
        count = int(name.partition("-")[0])
        numbers = range(request.first, min(count, request.first + self.spans))
        values = [np.full(self.values, number, np.float32) for number in numbers]
        return Segments("audio", count, [None] * len(values), values, len(values))
