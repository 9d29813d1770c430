"""Preprocesses that crash or hang their process, where a file's name says so or once."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from mmembed.media.audio import Waveform
from mmembed.media.probe import Source
from mmembed.media.spans import Span
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess


@dataclass(frozen=True)
class FaultyPreprocess(ImagePreprocess):
    """Like any for pictures, but for the names ``crash…``, ``hang…``, ``greedy…``, ``wrong…``."""

    def load(
        self, source: Source, span: Span | None = None, *, allow_truncated: bool = False
    ) -> np.ndarray:
        name = os.path.basename(str(source))
        if name.startswith("crash"):
            os.kill(os.getpid(), 9)
        if name.startswith("hang"):
            time.sleep(600)
        if name.startswith("greedy"):
            np.ones(6 << 30, np.uint8)
        if name.startswith("wrong"):
            raise TypeError("a mistake in a preprocess")
        return super().load(source, span)

    def __call__(self, media: np.ndarray) -> np.ndarray:
        values = super().__call__(media)
        return values[:, :14] if media.shape[:2] == (9, 9) else values


@dataclass(frozen=True)
class FaultySounds(AudioPreprocess):
    """Like any for sounds, but it takes its time, and kills its process once on the way.

    Args:
        killed: a file that says that it did; empty for never.
        kill_at: from this second of a sound on.
        pause: seconds a span.
    """

    killed: str = ""
    kill_at: float = 0.0
    pause: float = 0.0

    def __call__(self, media: Waveform) -> np.ndarray:
        time.sleep(self.pause)
        if self.killed and media.start_seconds >= self.kill_at and not os.path.exists(self.killed):
            open(self.killed, "w").close()
            os.kill(os.getpid(), 9)
        return super().__call__(media)
