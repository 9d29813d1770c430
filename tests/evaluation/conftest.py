"""Datasets of synthetic vectors over real media that are made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.rows import errors_table, rows_table
from mmembed.store.schema import MADE_BY, row_schema
from mmembed.store.table import EmbeddingTable

EVIL = "<script>alert(1)</script>.png"  # the slash makes it a file in a folder
CARRIED = ("label", "group", "split")
Row = dict[str, Any]


def dataset(
    folder: Path,
    rows: Sequence[Row],
    vectors: np.ndarray,
    source: str = "",
    carried: Sequence[str] = CARRIED,
) -> Path:
    """Write rows (path, modality and any carried column) with a vector each; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[Any]] = {
        "path": [r["path"] for r in rows],
        "modality": [r["modality"] for r in rows],
        "field": [r.get("field", r["modality"]) for r in rows],
        "segment_index": [r.get("segment_index") for r in rows],
        "start_s": [r.get("start_s") for r in rows],
        "end_s": [r.get("end_s") for r in rows],
        "size": [1] * len(rows),
        "mtime_ns": [1] * len(rows),
    }
    table = pa.table({n: pa.array([r.get(n) for r in rows], pa.string()) for n in carried})
    if not carried:
        table = pa.table({"note": pa.array([None] * len(rows), pa.string())})
    made_by = Provenance("ab" * 16, "toy <b>space</b>", vectors.shape[1], source)
    schema = row_schema(made_by, {n: pa.string() for n in table.column_names})
    rows_ = rows_table(columns, vectors.astype(np.float32), table, schema)
    EmbeddingDataset(folder).commit("part-00000.parquet", rows_, errors_table([]))
    return folder


def dataset_of_fields(
    folder: Path, rows: Sequence[Row], vectors: np.ndarray, source: str = ""
) -> Path:
    """Write rows with any columns, in their order, as other tools may; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    columns["id"] = pa.array([f"{i:032x}" for i in range(len(rows))])
    flat = pa.array(vectors.astype(np.float32).ravel())
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    made_by = Provenance("ab" * 16, "toy", vectors.shape[1], source)
    table = pa.table(columns).replace_schema_metadata({MADE_BY: made_by.to_json().encode()})
    pq.write_table(table, folder / "part-00000.parquet")
    return folder


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[..., EmbeddingTable]:
    """Make an opened table of rows and vectors."""

    def make(rows: Sequence[Row], vectors: np.ndarray, **options: Any) -> EmbeddingTable:
        return EmbeddingTable.open(dataset(tmp_path / "table", rows, vectors, **options))

    return make


def digits(split: str, count: int, rng: np.random.Generator) -> tuple[list[Row], np.ndarray]:
    """Return samples of image, audio and video in three classes, near their class's centre."""
    centres = np.random.default_rng(5).normal(size=(3, 8))
    rows, vectors = [], []
    for i in range(count):
        label = i % 3
        for modality, suffix in (("image", "png"), ("audio", "wav"), ("video", "mp4")):
            path = f"{modality}/{split}-{i:02d}.{suffix}"
            rows.append({"path": path, "modality": modality, "label": f"class {label}"})
            rows[-1] |= {"group": f"{split}-{i}", "split": split}
            vectors.append(centres[label] + 0.7 * rng.normal(size=8))
    return rows, np.array(vectors)


@pytest.fixture(scope="session")
def media_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with train and test rows whose test media are there, one of them named EVIL."""
    root = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(3)
    train, train_vectors = digits("train", 12, rng)
    test, test_vectors = digits("test", 9, rng)
    test[0]["path"] = EVIL
    for row in test:
        path = root / row["path"]
        path.parent.mkdir(exist_ok=True, parents=True)
        WRITERS[row["modality"]](path, rng)
    test[1]["label"] = test[0]["label"] = "</script><script>alert(2)</script>"
    vectors = np.concatenate([train_vectors, test_vectors])
    return dataset(root / "embeddings", [*train, *test], vectors, source=str(root))


def write_picture(path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path)


def write_sound(path: Path, rng: np.random.Generator) -> None:
    time = np.arange(22050) / 22050
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * rng.integers(200, 900) * time), 22050)


def write_clip(path: Path, rng: np.random.Generator) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(8):
            pixels = np.full((48, 64, 3), 20 * i, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


WRITERS: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "image": write_picture,
    "audio": write_sound,
    "video": write_clip,
}
