"""The arguments of every runner, and its output: vectors as Parquet and a line of JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Task:
    """A folder of files of one kind to embed.

    Args:
        kind: ``image``, ``audio`` or ``video``.
        media: the folder.
        weights: the folder of :mod:`weights`, and of spaces by kind.
        out: the folder for ``*.parquet`` with the columns ``path`` and ``embedding``.
    """

    kind: str
    media: Path
    weights: Path
    out: Path

    @classmethod
    def told(cls) -> Task:
        """Return what the command line says."""
        kind, *folders = sys.argv[1:]
        return cls(kind, *map(Path, folders))

    @property
    def files(self) -> list[str]:
        """The paths, in order."""
        return sorted(str(path) for path in self.media.iterdir())

    def write(self, paths: list[str], vectors: Any) -> None:
        """Write unit vectors ``(paths, dim)``."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.out.mkdir(parents=True, exist_ok=True)
        flat = pa.array(vectors.astype("float32", copy=False).ravel())
        lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = pa.table({"path": paths, "embedding": lists})
        pq.write_table(table, self.out / "vectors.parquet")


class Timer:
    """Counts from the first file, after imports and loading, to the last vector on disk."""

    def __init__(self) -> None:
        self.began = time.perf_counter()

    def stop(self) -> None:
        """Print what was measured."""
        print(json.dumps({"seconds": time.perf_counter() - self.began}), flush=True)
