"""Chunks, the unit of work: slices of the listing that become one part file, whole or not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mmembed.decoding.messages import DecodeFailure
from mmembed.errors.plain_text import redacted
from mmembed.media.file import MediaInfo
from mmembed.media.source_file import File
from mmembed.media.spans import AnySpan, Box, Span, TextSpan
from mmembed.store.rows import errors_table, rows_table
from mmembed.store.schema import CELL_COLUMNS

CHUNK_BYTES = 1 << 30
CHUNK_REGIONS = 1 << 14  # of one file, which stay together so that it is decoded once
INFO_OF_COLUMN = {  # by column of the source file, the attribute of MediaInfo
    "width": "width",
    "height": "height",
    "duration_s": "lasts_seconds",
    "sample_rate": "sample_rate",
    "frame_rate": "fps",
}


def slices(
    files: Iterable[File], done: np.ndarray, chunk_files: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[list[File]]:
    """Cut the files that are not ``done`` into slices, in order.

    Args:
        files: the listing.
        done: sorted keys of the files that are in the dataset already.
        chunk_files: most files a slice.
        chunk_bytes: a slice ends when its files are this large, so that long media, which
            become many rows, do not pile up before they are written.

    The regions of a file are in one slice, but for very many of them.
    """
    chosen: list[File] = []
    size = 0
    for file in files:
        key = file.key
        place = int(np.searchsorted(done, np.uint64(key)))
        if place < len(done) and int(done[place]) == key:
            continue
        again = bool(chosen) and file.region is not None and file.path == chosen[-1].path
        is_full = len(chosen) >= chunk_files or size >= chunk_bytes
        if is_full and not (again and len(chosen) < CHUNK_REGIONS):
            yield chosen
            chosen, size = [], 0
        chosen.append(file)
        size += 0 if again else file.size or 0
        is_full = len(chosen) >= chunk_files or size >= chunk_bytes
        if is_full and file.region is None:
            yield chosen
            chosen, size = [], 0
    if chosen:
        yield chosen


@dataclass(frozen=True)
class InWork:
    """A file that has been at work for long.

    Attributes:
        path: of the file.
        others: number of small files that came with it and may be the one as well.
        seconds: for how long.
        media_seconds: of its sound or video, decoded so far.
    """

    path: str
    others: int
    seconds: float
    media_seconds: float


@dataclass(frozen=True)
class DecodedSoFar:
    """A step of a run: what was decoded so far.

    Attributes:
        files: number of those decoded to their end, with or without success.
        media_seconds: of sounds and videos.
        in_work: the file that has been at work longest, if it is long.
    """

    files: int
    media_seconds: float = 0.0
    in_work: InWork | None = None


class Segment(NamedTuple):
    """A stretch of a file that becomes a row.

    Attributes:
        field: that embeds it.
        span: None for a file taken whole.
        kind: of the field, where it is not called so.
        words: of a text or of ids.
    """

    field: str
    span: AnySpan | None = None
    kind: str = ""
    words: str | None = None

    @property
    def modality(self) -> str:
        """The kind of the field."""
        return self.kind or self.field


@dataclass
class FileRows:
    """The rows of one file so far, by their place in the file.

    Attributes:
        segments: of each row.
        vectors: float32 ``(dim,)`` of each.
        truncated: the file stops before the end that its header declares.
        info: size, length and rates of the file.
        media_seconds: by modality, seconds of the file that the rows cover.
    """

    segments: dict[int, Segment] = field(default_factory=dict)
    vectors: dict[int, np.ndarray] = field(default_factory=dict)
    truncated: bool = False
    info: MediaInfo | None = None
    media_seconds: Counter[str] = field(default_factory=Counter)
    _covered: dict[str, float] = field(default_factory=dict)

    def add(self, place: int, segment: Segment) -> float:
        """Note what a row is of; return the seconds of media that no row before it covers."""
        self.segments[place] = segment
        if not isinstance(segment.span, Span):
            return 0.0
        end = segment.span.end_seconds
        covered = self._covered.get(segment.field, 0.0)
        more = max(0.0, end - max(segment.span.start_seconds, covered))
        self._covered[segment.field] = max(covered, end)
        self.media_seconds[segment.modality] += more  # type: ignore[assignment]
        return more


class Chunk:
    """A slice of the listing at work: which of its files have vectors, and which a problem.

    Args:
        files: the slice.
        carried: the columns that a manifest carries through, a row a file.

    Attributes:
        results: by position in ``files``, its vectors or why it has none.
        undecoded: positions of files that were not decoded to their end yet.
    """

    def __init__(self, files: list[File], carried: pa.Table) -> None:
        self.files, self.carried = files, carried
        self.results: dict[int, FileRows | DecodeFailure] = {}
        self.undecoded: set[int] = set()
        for number, file in enumerate(files):
            if file.problem:
                problem = DecodeFailure("list", "OSError", file.problem, modality=file.modality)
                self.results[number] = problem
            elif file.fault:
                problem = DecodeFailure("list", "ManifestError", file.fault, modality=file.modality)
                self.results[number] = problem
            else:
                self.undecoded.add(number)

    @property
    def name(self) -> str:
        """Name of the part file: a hash over the path, field, size and time of each file."""
        digest = hashlib.blake2b(digest_size=10)
        for file in self.files:
            digest.update(file.digest)
        return f"part-{digest.hexdigest()}.parquet"

    def rows(self, schema: pa.Schema, dim: int) -> pa.Table:
        """Return the rows of the files that have vectors."""
        files: list[File] = []
        results: list[FileRows] = []
        places: list[int] = []
        numbers: list[int] = []
        for number in sorted(self.results):
            result = self.results[number]
            if isinstance(result, FileRows):
                for place in sorted(result.vectors):
                    files.append(self.files[number])
                    results.append(result)
                    places.append(place)
                    numbers.append(number)
        segments = [r.segments[place] for r, place in zip(results, places, strict=True)]
        vectors = [r.vectors[place] for r, place in zip(results, places, strict=True)]
        spans = [segment.span for segment in segments]
        seconds = [span if isinstance(span, Span) else None for span in spans]
        characters = [span if isinstance(span, TextSpan) else None for span in spans]
        columns: dict[str, list[Any]] = {
            "path": [file.path for file in files],
            "modality": [segment.modality for segment in segments],
            "field": [segment.field for segment in segments],
            "segment_index": [getattr(span, "index", None) for span in spans],
            "start_s": [span.start_seconds if span else None for span in seconds],
            "end_s": [span.end_seconds if span else None for span in seconds],
            "region": [file.region for file in files],
            "box": [_corner_and_size(span) for span in spans],
            "cell": [file.cell for file in files],
            "text": [segment.words for segment in segments],
            "start_char": [span.start_char if span else None for span in characters],
            "end_char": [span.end_char if span else None for span in characters],
            "size": [file.size for file in files],
            "mtime_ns": [file.mtime_ns for file in files],
            "truncated": [result.truncated for result in results],
            "checksum": [file.checksum for file in files],
        }
        for name, attribute in INFO_OF_COLUMN.items():
            columns[name] = [getattr(result.info, attribute, None) for result in results]
        stacked = np.stack(vectors) if vectors else np.empty((0, dim), np.float32)
        carried = self.carried.take(pa.array(numbers, pa.int64()))
        if "cell" not in schema.names:  # a text there is one that the manifest carries through
            columns = {name: values for name, values in columns.items() if name not in CELL_COLUMNS}
        return rows_table(columns, stacked, carried, schema)

    def media_seconds(self) -> Counter[str]:
        """Return, by modality, the seconds of the sounds and videos that have vectors."""
        seconds: Counter[str] = Counter()
        for result in self.results.values():
            if isinstance(result, FileRows):
                seconds.update(result.media_seconds)
        return seconds

    def problems(self) -> list[tuple[File, DecodeFailure]]:
        """Return the files that have none, and why."""
        ordered = sorted(self.results.items())
        return [(self.files[n], r) for n, r in ordered if isinstance(r, DecodeFailure)]

    def errors(self) -> pa.Table:
        """Return the rows of ``_errors``."""
        return errors_table(
            [
                {
                    "path": file.path,
                    "modality": problem.modality,
                    "field": file.field,
                    "cell": file.cell,
                    "region": file.region,
                    "stage": problem.stage,
                    "error": problem.error,
                    "message": redacted(problem.message),
                    "decoder": problem.decoder or None,
                    "attempts": problem.attempts,
                    "size": file.size,
                    "mtime_ns": file.mtime_ns,
                    "checksum": file.checksum,
                }
                for file, problem in self.problems()
            ]
        )


def _corner_and_size(span: AnySpan | None) -> list[float] | None:
    return [span.x, span.y, span.width, span.height] if isinstance(span, Box) else None
