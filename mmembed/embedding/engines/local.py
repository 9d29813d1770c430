"""Chunks of files to vectors on one machine: workers decode ahead while the model runs.

A batch holds items of one bucket (modality and padded length) of one chunk. A file whose values
the model refuses costs only itself. Nothing here knows Parquet or folders.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mmembed.data.batch import Buckets, collate
from mmembed.decoding.messages import DecodeFailure, Segments
from mmembed.decoding.worker import Decoder
from mmembed.embedding.engines.batch_sizes import BatchSizes
from mmembed.embedding.engines.chunk import Chunk, FileRows
from mmembed.embedding.engines.decode_queue import Pool, answers
from mmembed.embedding.engines.part_writer import Committed
from mmembed.embedding.engines.threads import ThreadChoice
from mmembed.embedding.settings import DECODE_MODULES, Limits
from mmembed.errors.plain_text import one_line, say
from mmembed.media.guarded_pool import GuardedPool
from mmembed.preprocess.base import Preprocess
from mmembed.space.reduced_precision import PrecisionCheck
from mmembed.space.space import Space
from mmembed.space.space_json import Precision

# The model's threads wait for one another in every layer: a decoder that takes the core of one of
# them holds up all. So decoders take what is left, which is also all there is while it waits.
NICENESS = 10
LEAST_ITEMS = 16  # smaller batches tell how many threads are best only if they are whole
Place = tuple[int, int]  # number of a file in its chunk, number of the span in the file


@dataclass
class LocalEngine:
    """Decodes and embeds chunks on this machine.

    Args:
        space: what embeds, in evaluation mode.
        preprocess: by modality, what decode workers apply; files of others are errors.
        precision: ``fp32``, or ``bf16`` through autocast, as far as fp32 agrees.
        batch_size: items a forward pass; None finds out what is fastest.
        workers: decode processes; 0 decodes in this one.
        limits: what one file may take.
        allow_truncated: take what there is of a sound or video that stops early.
        with_sound: embed the sound track of a video too.
    """

    space: Space
    preprocess: Mapping[str, Preprocess] = field(default_factory=dict)
    precision: Precision = "fp32"
    batch_size: int | None = None
    workers: int = 0
    limits: Limits = field(default_factory=Limits)
    allow_truncated: bool = False
    with_sound: bool = False

    def __post_init__(self) -> None:
        self._sizes = BatchSizes(self.space.device, self.batch_size)
        self._threads = ThreadChoice(self.space.device)
        self._precision = PrecisionCheck(self.space.embed_batch, self.precision, _warn)
        self._kept: Pool | None = None

    def notes(self) -> list[str]:
        """Return lines for the summary: the threads that the model got, and what bf16 got wrong."""
        return self._threads.summary() + self._precision.notes()

    def keep(self) -> None:
        """Keep the decode processes from one run to the next, as long as this process lives."""
        self._kept = self._pool()

    def run(
        self,
        chunks: Iterable[Chunk],
        write: Callable[[Chunk], Committed],
        done: Callable[[Committed], None],
        show: Callable[[int], None],
    ) -> None:
        """Embed every file of every chunk, as :meth:`mmembed.embedding.job.Engine.run` says."""
        waiting: dict[int, Buckets[Place]] = {}
        decoded = 0

        def opened() -> Iterator[Chunk]:
            for chunk in chunks:
                if chunk.undecoded:
                    waiting[id(chunk)] = Buckets(self._sizes.size)
                    yield chunk
                else:
                    done(write(chunk))

        with self._pool() if self._kept is None else nullcontext(self._kept) as pool:
            self._decoders = pool
            for chunk, number, first, answer in answers(opened(), pool, self.workers):
                buckets = waiting[id(chunk)]
                if isinstance(answer, DecodeFailure):
                    chunk.results[number] = answer
                    last = True
                else:
                    self._take(chunk, buckets, number, first, answer)
                    last = first + answer.taken >= answer.count
                if not last:
                    continue
                chunk.undecoded.discard(number)
                decoded += 1
                show(decoded)
                if not chunk.undecoded:
                    for bucket, batch in buckets.flush():
                        self._embed(chunk, bucket, batch)
                    del waiting[id(chunk)]
                    done(write(chunk))

    def _pool(self) -> Pool:
        limits = self.limits
        decoder: Callable[[Any], list[Segments | DecodeFailure]] = Decoder(
            dict(self.preprocess),
            max_pixels=limits.max_pixels,
            max_seconds=limits.duration_seconds,
            allow_truncated=self.allow_truncated,
            with_sound=self.with_sound,
        )
        return GuardedPool(
            decoder,
            self.workers,
            limits.timeout_seconds,
            DECODE_MODULES,
            NICENESS,
            limits.memory_mb << 20,
        )

    def _take(
        self, chunk: Chunk, buckets: Buckets[Place], number: int, first: int, piece: Segments
    ) -> None:
        result = chunk.results.setdefault(number, FileRows())
        if isinstance(result, FileRows):
            result.truncated |= piece.truncated
        preprocess = self.preprocess[piece.modality]
        for place, (span, values) in enumerate(
            zip(piece.spans, piece.values, strict=True), start=first
        ):
            if isinstance(result, FileRows):
                result.spans[place] = piece.modality, span
            kind = piece.modality, preprocess.bucket(values)
            self._sizes.meet(kind, values)
            for bucket, batch in buckets.add((number, place), kind, values):
                self._embed(chunk, bucket, batch)

    def _embed(self, chunk: Chunk, bucket: Any, batch: list[tuple[Place, np.ndarray]]) -> None:
        while batch:
            most = self._sizes.size(bucket)
            self._embed_at_once(chunk, bucket, batch[:most])
            batch = batch[most:]

    def _embed_at_once(
        self, chunk: Chunk, bucket: Any, batch: list[tuple[Place, np.ndarray]]
    ) -> None:
        modality, length = bucket
        try:
            values, mask = collate([item for _, item in batch], length)
            whole = len(batch) >= min(LEAST_ITEMS, self._sizes.size(bucket))
            began = time.perf_counter()
            cores_free = self._decoders.idle
            with self._threads.batch(modality, whole, values.numel(), cores_free):
                precision = self._precision.precision(modality)
                vectors = self.space.embed_batch(modality, values, mask, precision)
            self._sizes.took(bucket, len(batch), time.perf_counter() - began)
            vectors = self._precision.checked(modality, values, mask, vectors)
        except Exception as error:
            if len(batch) > 1:
                if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
                    self._sizes.too_large(bucket, len(batch))
                    self._embed(chunk, bucket, batch)
                    return
                for item in batch:
                    self._embed_at_once(chunk, bucket, [item])
                return
            problem = DecodeFailure(
                "encode", type(error).__name__, one_line(error), modality=modality
            )
            chunk.results[batch[0][0][0]] = problem
            return
        finite = np.isfinite(vectors).all(axis=1)
        for ((number, place), _), vector, good in zip(batch, vectors, finite, strict=True):
            result = chunk.results[number]
            if not good:
                message = "its vector is not finite; look for NaN or infinity in the file"
                chunk.results[number] = DecodeFailure(
                    "encode", "ValueError", message, modality=modality
                )
            elif isinstance(result, FileRows):
                result.vectors[place] = vector


def _warn(line: str) -> None:
    say(f"mmembed: warning: {line}", sys.stderr)
