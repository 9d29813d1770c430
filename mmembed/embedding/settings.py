"""Settings of an embedding run, in four groups; their fields are the options."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from mmembed.durations import seconds
from mmembed.errors import ConfigError
from mmembed.media.file_names import NameFilter
from mmembed.media.limits import MAX_PIXELS
from mmembed.space.space_json import Precision, trusted_packages
from mmembed.store.schema import VectorType


@dataclass(frozen=True)
class RowOptions:
    """Settings of a dataset's rows; a dataset belongs to one choice of these.

    Args:
        precision: ``fp32``, or ``bf16`` through autocast.
        segment: length of the spans that sounds and videos are cut into (``10s``, ``500ms``,
            ``1.5min``); None takes the space's own.
        hop: distance between the starts of two spans; None for ``segment``, if that is given,
            else the space's own.
        with_sound: embed the sound track of a video too, as audio rows of the same path.
        allow_truncated: take what there is of a sound or video that stops early, and say so in
            the column ``truncated``; it is an error otherwise.
        vector_type: ``float32``, ``float16``, or ``list`` for readers without fixed-size lists.
        checksum: tell changed files by a hash of their content, kept in the column ``checksum``,
            rather than by their time; every file is read in every run. A dataset without gets them
            for the files that did not change.
        field: of several fields of one kind, the one that embeds what is of that kind.
        prompt: name of the prompt that is put before each text, such as ``query`` or ``document``,
            where the space has prompts.
        include: globs of the files of a folder that are taken, with commas between (``*.jpg``,
            ``raw/**``); None takes all.
        exclude: globs of files and folders that are left out, with commas between.
        label_separator: stands between several labels of a cell of a manifest (``|``), which become
            a list; empty where a cell is one label.

    Raises:
        ConfigError: not a duration, or not a glob.
    """

    precision: Precision = "fp32"
    segment: str | float | None = None
    hop: str | float | None = None
    with_sound: bool = False
    allow_truncated: bool = False
    vector_type: VectorType = "float32"
    checksum: bool = False
    field: str | None = None
    prompt: str | None = None
    include: str | None = None
    exclude: str | None = None
    label_separator: str = ""

    def __post_init__(self) -> None:
        _ = self.bound(), self.names

    @property
    def names(self) -> NameFilter:
        """The globs of ``include`` and ``exclude``."""
        return NameFilter(self.include, self.exclude)

    @property
    def segment_seconds(self) -> float | None:
        """``segment`` in seconds."""
        return None if self.segment is None else _seconds("segment", self.segment)

    @property
    def hop_seconds(self) -> float | None:
        """``hop`` in seconds."""
        return self.segment_seconds if self.hop is None else _seconds("hop", self.hop)

    def bound(self) -> dict[str, str | float | None]:
        """Return what a dataset is bound to; None stands for what was not asked for."""
        return {
            "precision": self.precision,
            "vector_type": self.vector_type,
            "segment_seconds": self.segment_seconds,
            "hop_seconds": self.hop_seconds,
            "with_sound": self.with_sound or None,
            "allow_truncated": self.allow_truncated or None,
            "checksum": self.checksum or None,
            "field": self.field,
            "prompt": self.prompt,
            "include": self.include,
            "exclude": self.exclude,
            "label_separator": self.label_separator or None,
        }


@dataclass(frozen=True)
class Limits:
    """Limits of one file, beyond which it counts as broken.

    Args:
        timeout: longest time without progress on a file; of sound and video, a second decoded is
            progress enough for 100 s.
        max_pixels: most pixels of a picture or of a video's frame.
        max_duration: longest sound or video.
        memory_mb: most memory of a decode process, in MiB (on Linux).

    Raises:
        ConfigError: out of range.
    """

    timeout: str | float = "60s"
    max_pixels: int = MAX_PIXELS
    max_duration: str | float = "24h"
    memory_mb: int = 4096

    def __post_init__(self) -> None:
        _at_least(1, max_pixels=self.max_pixels, memory_mb=self.memory_mb)
        _ = self.timeout_seconds, self.duration_seconds

    @property
    def timeout_seconds(self) -> float:
        """``timeout`` in seconds."""
        return _seconds("timeout", self.timeout)

    @property
    def duration_seconds(self) -> float:
        """``max_duration`` in seconds."""
        return _seconds("max_duration", self.max_duration)


@dataclass(frozen=True)
class Machine:
    """The use of the machine, or of a cluster.

    Args:
        batch_size: items a forward pass; None finds out what is fastest.
        workers: decode processes; 0 decodes in the main process; None takes one a core.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
        engine: ``local``, or ``ray`` for the machines of a Ray cluster.
        actors: models on the cluster; None takes one a GPU, or one a machine if there is none.
        ray_address: of the cluster; None takes ``RAY_ADDRESS``, a cluster that runs on this
            machine, or starts one.
        trust: packages beside mmembed whose encoders the space may name, with commas between.
            Their code runs, with arguments of the space's choice.

    Raises:
        ConfigError: out of range, or ``trust`` names no package.
    """

    batch_size: int | None = None
    workers: int | None = None
    device: str = "auto"
    engine: Literal["local", "ray"] = "local"
    actors: int | None = None
    ray_address: str | None = None
    trust: str | None = None

    def __post_init__(self) -> None:
        trusted_packages(self.trust)
        _at_least(1, batch_size=self.batch_size, actors=self.actors)
        _at_least(0, workers=self.workers)

    @property
    def decode_workers(self) -> int:
        """Number of decode processes."""
        from mmembed.media.guarded_pool import default_workers

        return default_workers() if self.workers is None else self.workers


@dataclass(frozen=True)
class Pass:
    """The work of this run: all of the source or a share, for good or for show.

    Args:
        shard: ``i/n``, the i-th of n shares of the source; all n may write to one dataset at once.
        dry_run: only say what would be done.
        retry_errors: try the files again that have an error.
        upgrade: embed the files anew that this version decodes otherwise than the one that
            embedded them.
        strict: fail, after all is written, if any file of the dataset has an error.
        chunk_files: files a part file.

    Raises:
        ConfigError: out of range.
    """

    shard: str | None = None
    dry_run: bool = False
    retry_errors: bool = False
    upgrade: bool = False
    strict: bool = False
    chunk_files: int = 512

    def __post_init__(self) -> None:
        _at_least(1, chunk_files=self.chunk_files)


def grouped(options: dict[str, Any]) -> dict[str, Any]:
    """Return options by name as the groups that ``embed`` takes.

    Raises:
        ConfigError: no group has an option of that name, or it is out of range.
    """
    groups = {"rows": RowOptions, "limits": Limits, "machine": Machine, "this": Pass}
    left, made = dict(options), {}
    for name, group in groups.items():
        fields = [field.name for field in dataclasses.fields(group)]
        made[name] = group(**{field: left.pop(field) for field in fields if field in left})
    if left:
        raise ConfigError(f"unknown option {', '.join(left)}")
    return made


def _at_least(least: int, **options: int | None) -> None:
    for name, value in options.items():
        if value is not None and value < least:
            raise ConfigError(f"must be at least {least}", name, value)


def _seconds(option: str, value: str | float) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        raise ConfigError(str(error), option, value) from None
