"""Parts to write: rows of sounds with vectors drawn at random, and errors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mmembed.paths import Place
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.rows import errors_table, rows_table
from mmembed.store.schema import ERROR_SCHEMA, row_schema

PROVENANCE = Provenance("f" * 32, "tiny", 4, "media", {"precision": "fp32"})
LABEL = {"label": pa.string()}


def table_of(
    count: int, kind: str = "float32", dim: int = 4, carried: dict[str, pa.DataType] = LABEL
) -> pa.Table:
    rng = np.random.default_rng(count)
    vectors = rng.normal(size=(count, dim)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    columns = {
        "path": [f"{i * 7919 % (count or 1):05}.wav" for i in range(count)],
        "modality": ["audio"] * count,
        "segment_index": [0] * count,
        "start_s": [0.0] * count,
        "end_s": [1.5] * count,
        "size": list(range(count)),
        "mtime_ns": [10**18 + i for i in range(count)],
    }
    others = pa.table({n: pa.array([f"{i}" for i in range(count)], t) for n, t in carried.items()})
    provenance = Provenance(PROVENANCE.fingerprint, "tiny", dim, "media")
    return rows_table(columns, vectors, others, row_schema(provenance, carried, kind))


def failure(path: str) -> pa.Table:
    row = {"path": path, "stage": "decode", "error": "MediaError", "message": "no", "attempts": 1}
    return errors_table([row])


NO_ERRORS = ERROR_SCHEMA.empty_table()


def remove_leftovers(folder: Place) -> None:
    EmbeddingDataset(folder).remove_leftovers()
