"""The engine of this machine, made of a saved space and of what a user asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmembed.embedding.engines.local import LocalEngine
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.video import VideoPreprocess
from mmembed.space.loading import load_space
from mmembed.space.space import Space


def local_engine(
    space: str | Path, rows: RowOptions, limits: Limits, machine: Machine
) -> LocalEngine:
    """Load a space and return what embeds with it on this machine.

    Raises:
        SpaceError: it can't be loaded.
        ConfigError: there is no such device, segments that the space can't be asked for, or two
            fields of one kind.
    """
    model = load_space(space, machine.device, machine.trust)
    return LocalEngine(
        model,
        _segmented(model, rows.segment_seconds, rows.hop_seconds),
        rows.precision,
        machine.batch_size,
        machine.decode_workers,
        limits,
        rows.allow_truncated,
        rows.with_sound,
    )


def _segmented(
    space: Space, segment_seconds: float | None, hop_seconds: float | None
) -> Mapping[str, Preprocess]:
    """Return the space's preprocess with other segments where they are asked for."""
    changes = {"segment_seconds": segment_seconds, "hop_seconds": hop_seconds}
    given = {name: value for name, value in changes.items() if value is not None}
    segmented: dict[str, Preprocess] = {}
    for modality, preprocess in space.preprocess_of_kind.items():
        if given and isinstance(preprocess, (AudioPreprocess, VideoPreprocess)):
            least = min(preprocess.min_seconds, segment_seconds or preprocess.segment_seconds)
            changed: Any = {**given, "min_seconds": least}
            preprocess = dataclasses.replace(preprocess, **changed)
        segmented[modality] = preprocess
    return segmented
