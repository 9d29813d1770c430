"""The writer of parts: a finished chunk becomes a part of the dataset, and is counted.

It can be sent to other processes and machines: all that it needs is where the dataset is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from mmembed.embedding.engines.chunk import Chunk
from mmembed.media.decode_revision import decoder_versions
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.schema import with_libraries


@dataclass(frozen=True)
class Committed:
    """The outcome of a chunk that was written.

    Attributes:
        embedded: files that have rows.
        rows: by modality, number of rows.
        problems: stage and message of each file that has none.
        advice: by option that helps, number of files that have none.
        media_seconds: by modality, of the sounds and videos that have rows.
    """

    embedded: int
    rows: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    advice: Counter[str] = field(default_factory=Counter)
    media_seconds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class PartWriter:
    """A writer of chunks as parts; a chunk that is written twice is there once.

    It is called where the chunk was decoded: a part records the versions of the libraries there.

    Args:
        dataset: where to.
        schema: of its parts.
        dim: dimensions of a vector.
    """

    dataset: EmbeddingDataset
    schema: pa.Schema
    dim: int

    def __call__(self, chunk: Chunk) -> Committed:
        """Write a chunk whose files all have a result.

        Raises:
            StoreError: the disk is full, or the dataset can't be written to.
        """
        schema = with_libraries(self.schema, decoder_versions())
        rows, errors = chunk.rows(schema, self.dim), chunk.errors()
        self.dataset.commit(chunk.name, rows, errors)
        failed = [problem for _, problem in chunk.problems()]
        return Committed(
            len(chunk.files) - len(failed),
            Counter(rows["modality"].to_pylist()),
            [(problem.stage, problem.message) for problem in failed],
            Counter(problem.advice for problem in failed if problem.advice),
            chunk.media_seconds(),
        )
