"""Media whose parts can be told apart by ear and eye, and manifests of such parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image

from mmembed import EmbeddingTable
from mmembed.store.table import read_errors

RATE = 8000


def tones(path: Path, seconds: int, first: float = 0.0) -> np.ndarray:
    """Write a sound whose every second has a tone of its own; return its samples."""
    time = np.arange(seconds * RATE) / RATE
    samples = 0.3 * np.sin(2 * np.pi * (200 + 150 * np.floor(time + first)) * time)
    soundfile.write(path, samples.astype(np.float32), RATE, subtype="FLOAT")
    return samples.astype(np.float32)


def squares(path: Path) -> np.ndarray:
    """Write a picture of 16 coloured squares; return its pixels."""
    colours = np.random.default_rng(3).integers(0, 256, (4, 4, 3), np.uint8)
    pixels = np.kron(colours, np.ones((20, 25, 1), np.uint8))
    Image.fromarray(pixels).save(path)
    return pixels


def manifest(folder: Path, rows: Sequence[dict[str, Any]], name: str = "m.parquet") -> Path:
    names = dict.fromkeys(name for row in rows for name in row)
    pq.write_table(pa.table({n: [row.get(n) for row in rows] for n in names}), folder / name)
    return folder / name


def span_rows(spans: Sequence[tuple[float, float]], **more: Any) -> list[dict[str, Any]]:
    return [
        {"audio": "long.wav", "start_s": a, "end_s": b, "id": f"s{i}", **more}
        for i, (a, b) in enumerate(spans)
    ]


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Rows with their vectors, in the order of the part."""
    table = EmbeddingTable.open(out)
    rows = zip(table.rows.to_pylist(), table.vectors, strict=True)
    return [row | {"vector": vector} for row, vector in rows]


def errors_of(out: Path) -> dict[str, str]:
    return {row["region"]: row["message"] for row in read_errors(out).to_pylist()}
