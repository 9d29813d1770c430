"""A finished chunk becomes a part of the dataset, and what is counted of it.

It can be sent to other processes and machines: all that it needs is where the dataset is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from mmembed.embedding.engines.chunk import Chunk
from mmembed.paths import Place
from mmembed.store.writer import write_part


@dataclass(frozen=True)
class Committed:
    """The outcome of a chunk that is written.

    Attributes:
        embedded: files that have rows.
        rows: by modality, number of rows.
        problems: stage and message of each file that has none.
        advice: by option that helps, number of files that have none.
    """

    embedded: int
    rows: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    advice: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class PartWriter:
    """Writes chunks as parts; a chunk that is written twice is there once.

    Args:
        out: the dataset.
        schema: of its parts.
        dim: dimensions of a vector.
    """

    out: Place
    schema: pa.Schema
    dim: int

    def __call__(self, chunk: Chunk) -> Committed:
        """Write a chunk whose files all have a result.

        Raises:
            StoreError: the disk is full, or the dataset can't be written to.
        """
        rows, errors = chunk.rows(self.schema, self.dim), chunk.errors()
        write_part(self.out, chunk.name, rows, errors)
        failed = [problem for _, problem in chunk.problems()]
        return Committed(
            len(chunk.files) - len(failed),
            Counter(rows["modality"].to_pylist()),
            [(problem.stage, problem.message) for problem in failed],
            Counter(problem.advice for problem in failed if problem.advice),
        )
