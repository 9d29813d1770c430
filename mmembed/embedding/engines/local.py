"""Chunks of files to vectors on one machine: processes decode ahead while the model runs.

A batch holds items of one bucket (field and padded length) of one chunk. A file whose values
the model refuses costs only itself. Nothing here knows Parquet or folders.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmembed.data.batch import Buckets, collate
from mmembed.decoding.groups import Decoded, Wanted
from mmembed.decoding.messages import DecodeFailure, DecodeRequest, RegionRequest, Segments
from mmembed.decoding.queue import DecodeQueue
from mmembed.decoding.worker import Decoder
from mmembed.embedding.engines.batch_sizes import BatchSizes
from mmembed.embedding.engines.chunk import Chunk, DecodedSoFar, FileRows, InWork, Segment
from mmembed.embedding.engines.threads import ThreadChoice
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.errors.plain_text import one_line, say
from mmembed.media.regions import region_named
from mmembed.media.spans import Span
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.spanned import SpannedPreprocess
from mmembed.space.fields import prompted_fields
from mmembed.space.loading import load_space
from mmembed.space.reduced_precision import PrecisionCheck
from mmembed.space.space import Space
from mmembed.space.space_json import chosen_fields

LONG_SECONDS = 5.0  # at work: then a file is named
LEAST_ITEMS = 16  # smaller batches tell how many threads are best only if they are whole
Place = tuple[int, int]  # number of a file in its chunk, number of the span in the file


def local_engine(
    space: str | Path, rows: RowOptions, limits: Limits, machine: Machine
) -> LocalEngine:
    """Load a space, and return the engine that embeds with it on this machine.

    Raises:
        SpaceError: it can't be loaded.
        ConfigError: there is no such device, or segments that the space can't be asked for, or two
            fields of one kind.
    """
    model = load_space(space, machine.device, machine.trust)
    return LocalEngine(model, rows, limits, machine)


@dataclass
class LocalEngine:
    """Decodes and embeds chunks on this machine.

    Args:
        space: in evaluation mode, where it is to run.
        rows: precision, segments, sound tracks and truncated files.
        limits: of one file.
        machine: batch size and decode processes.

    Raises:
        ConfigError: segments that the space can't be asked for.
    """

    space: Space
    rows: RowOptions = RowOptions()  # noqa: RUF009
    limits: Limits = Limits()  # noqa: RUF009
    machine: Machine = Machine()  # noqa: RUF009

    def __post_init__(self) -> None:
        fields = chosen_fields(self.space.fields, self.rows.field)
        every = self.space.preprocess
        preprocess = {field: every[field] for field in fields}
        self._preprocess = _segmented(prompted_fields(preprocess, self.rows.prompt), self.rows)
        self._sizes = BatchSizes(self.space.device, self.machine.batch_size)
        self._threads = ThreadChoice(self.space.device)
        self._precision = PrecisionCheck(self.space.embed_batch, self.rows.precision, _warn)
        self._kept: DecodeQueue[tuple[_Work, int]] | None = None

    def notes(self) -> list[str]:
        """Return lines for the summary: the threads that the model got, and what bf16 got wrong."""
        return self._threads.summary() + self._precision.notes()

    def keep(self) -> None:
        """Keep the decode processes from one run to the next, as long as this process lives."""
        self._kept = self._queue()

    def run(self, chunks: Iterable[Chunk]) -> Generator[DecodedSoFar | Chunk, None, None]:
        """Yield each chunk when its files all have a result, in any order, and counts in between.

        Counts come every second or so, and with each file. Closing the iterator ends the decode
        processes.
        """
        following = iter(chunks)
        files, self._media_seconds = 0, 0.0
        with self._queue() if self._kept is None else nullcontext(self._kept) as queue:
            self._decoders = queue
            while True:
                while queue.has_room and (chunk := next(following, None)) is not None:
                    if chunk.undecoded:
                        queue.put(_wanted(_Work(chunk, Buckets(self._sizes.size))))
                    else:
                        yield chunk
                if queue.is_empty:
                    return
                pieces = queue.get()
                in_work = _longest(queue)
                for decoded in pieces:
                    work, number = decoded.key
                    self._take(work, number, decoded)
                    finished = _finished(number, decoded)
                    if not finished:
                        continue
                    work.chunk.undecoded -= finished
                    files += len(finished)
                    yield DecodedSoFar(files, self._media_seconds, in_work)
                    if not work.chunk.undecoded:
                        for bucket, batch in work.buckets.flush():
                            self._embed(work.chunk, bucket, batch)
                        yield work.chunk
                if not any(decoded.is_last for decoded in pieces):
                    yield DecodedSoFar(files, self._media_seconds, in_work)

    def _queue(self) -> DecodeQueue[tuple[_Work, int]]:
        limits = self.limits
        decoder = Decoder(
            dict(self._preprocess),
            max_pixels=limits.max_pixels,
            max_seconds=limits.duration_seconds,
            allow_truncated=self.rows.allow_truncated,
            with_sound=self.rows.with_sound,
        )
        memory_bytes = limits.memory_mb << 20
        workers = self.machine.decode_workers
        return DecodeQueue(decoder, workers, limits.timeout_seconds, memory_bytes)

    def _take(self, work: _Work, number: int, decoded: Decoded[Any]) -> None:
        """Note a problem, or put values into batches, and embed those that are full."""
        chunk, piece = work.chunk, decoded.answer
        if isinstance(piece, DecodeFailure):
            chunk.results.update(dict.fromkeys(_finished(number, decoded), piece))
            return
        if decoded.regions is None:
            chunk.results.setdefault(number, FileRows())
        places = _places(number, decoded.first, piece)
        for (row, place), span, words in zip(places, piece.spans, piece.words, strict=True):
            result = chunk.results.setdefault(row, FileRows())
            if isinstance(result, FileRows):
                result.truncated |= piece.truncated or row in piece.short
                result.info = piece.info
                segment = Segment(piece.field, span, piece.modality, words)
                self._media_seconds += result.add(place, segment)
        chunk.results.update(piece.failures)
        preprocess = self._preprocess[piece.field]
        for where, values in zip(places, piece.values, strict=True):
            kind = piece.field, preprocess.bucket(values)
            self._sizes.meet(kind, values)
            for bucket, batch in work.buckets.add(where, kind, values):
                self._embed(chunk, bucket, batch)

    def _embed(self, chunk: Chunk, bucket: Any, batch: list[tuple[Place, np.ndarray]]) -> None:
        while batch:
            most = self._sizes.size(bucket)
            self._embed_at_once(chunk, bucket, batch[:most])
            batch = batch[most:]

    def _embed_at_once(
        self, chunk: Chunk, bucket: Any, batch: list[tuple[Place, np.ndarray]]
    ) -> None:
        field, length = bucket
        kind = self._preprocess[field].modality
        try:
            values, mask = collate([item for _, item in batch], length)
            whole = len(batch) >= min(LEAST_ITEMS, self._sizes.size(bucket))
            began = time.perf_counter()
            cores_free = self._decoders.is_ahead
            with self._threads.batch(field, whole, values.numel(), cores_free):
                precision = self._precision.precision(field)
                vectors = self.space.embed_batch(field, values, mask, precision)
            self._sizes.took(bucket, len(batch), time.perf_counter() - began)
            vectors = self._precision.checked(field, values, mask, vectors)
        except Exception as error:
            if len(batch) > 1:
                if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
                    self._sizes.too_large(bucket, len(batch))
                    self._embed(chunk, bucket, batch)
                    return
                for item in batch:
                    self._embed_at_once(chunk, bucket, [item])
                return
            problem = DecodeFailure("encode", type(error).__name__, one_line(error), modality=kind)
            chunk.results[batch[0][0][0]] = problem
            return
        finite = np.isfinite(vectors).all(axis=1)
        for ((number, place), _), vector, good in zip(batch, vectors, finite, strict=True):
            result = chunk.results[number]
            if not good:
                message = "its vector is not finite; look for NaN or infinity in the file"
                chunk.results[number] = DecodeFailure(
                    "encode", "ValueError", message, modality=kind
                )
            elif isinstance(result, FileRows):
                result.vectors[place] = vector


@dataclass(eq=False)
class _Work:
    """A chunk at work, and its values that wait for a batch to be full."""

    chunk: Chunk
    buckets: Buckets[Place]


def _wanted(work: _Work) -> Iterator[Wanted[tuple[_Work, int]]]:
    """Yield the files of a chunk to decode; the regions of one that follow each other are one."""
    files = work.chunk.files

    def whose(number: int) -> Any:
        file = files[number]
        return number if file.region is None else (file.path, file.field)

    for _, numbers in groupby(sorted(work.chunk.undecoded), whose):
        first, *_ = together = list(numbers)
        file = files[first]
        regions = tuple(
            RegionRequest(number, region_named(name), files[number].where)
            for number in together
            if (name := files[number].region) is not None
        )
        request = DecodeRequest(file.location, file.field, content=file.content, regions=regions)
        yield Wanted((work, first), request, file.size or 0)


def _longest(queue: DecodeQueue[tuple[_Work, int]]) -> InWork | None:
    """Return the file that has been at work longest, if that is long."""
    at_work = max(queue.in_work, key=lambda each: each.seconds, default=None)
    if at_work is None or at_work.seconds < LONG_SECONDS:
        return None
    work, number = at_work.key
    path = work.chunk.files[number].path
    return InWork(path, at_work.others, at_work.seconds, at_work.media_seconds)


def _places(number: int, first: int, piece: Segments) -> list[Place]:
    """Return the file and the place in it of each span, of a region its own index."""
    if not piece.numbers:
        return [(number, first + i) for i in range(len(piece.spans))]
    spans = zip(piece.numbers, piece.spans, strict=True)
    return [(region, span.index if isinstance(span, Span) else 0) for region, span in spans]


def _finished(number: int, decoded: Decoded[Any]) -> set[int]:
    """Return the files, or regions of one, that are decoded to their end now."""
    if decoded.regions is None:
        return {number} if decoded.is_last else set()
    return set(decoded.regions)


def _segmented(preprocess: Mapping[str, Preprocess], rows: RowOptions) -> dict[str, Preprocess]:
    """Return the preprocess of each field, with other segments if they are asked for."""
    changes = {"segment_seconds": rows.segment_seconds, "hop_seconds": rows.hop_seconds}
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    segmented = dict(preprocess)
    for field, each in preprocess.items():
        if given and isinstance(each, SpannedPreprocess):
            least = min(each.min_seconds, rows.segment_seconds or each.segment_seconds)
            changed: Any = dataclasses.replace(each, **given, min_seconds=least)  # type: ignore
            segmented[field] = changed
    return segmented


def _warn(line: str) -> None:
    say(f"mmembed: warning: {line}", sys.stderr)
