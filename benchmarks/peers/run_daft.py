"""A Daft query: paths, decoding, a class with the model, Parquet.

Pictures are fetched, decoded, scaled and cut by Daft itself; sounds and videos are decoded by a
class in processes of its own, as people do whose model wants certain samples or frames. The model
is loaded before the clock starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import daft
import numpy as np
import torch
from daft import DataType, col
from models import BATCH, model_and_decoder
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from outcome import Task, Timer
from PIL import Image

DIM, SIZE = 512, 224
LOADED: dict[str, Any] = {}


@daft.cls(use_process=False, max_concurrency=1)
class Embedder:
    """Holds the model."""

    def __init__(self, kind: str) -> None:
        self.kind, self.embed = kind, LOADED["embed"]

    @daft.method.batch(return_dtype=DataType.embedding(DataType.float32(), DIM))
    def __call__(self, values: daft.Series) -> Any:
        batch = torch.from_numpy(np.stack(values.to_pylist()))
        if self.kind == "image":
            mean, std = torch.tensor(OPENAI_DATASET_MEAN), torch.tensor(OPENAI_DATASET_STD)
            batch = ((batch / 255 - mean) / std).permute(0, 3, 1, 2)
        return self.embed(batch)


@daft.cls(use_process=True, max_concurrency=os.cpu_count())
class Loader:
    """Turns a path to values in a process of its own."""

    def __init__(self, decode: Callable[[str], torch.Tensor]) -> None:
        torch.set_num_threads(1)
        self.decode = decode

    @daft.method(return_dtype=DataType.tensor(DataType.float32()))
    def __call__(self, path: str) -> Any:
        return self.decode(path).numpy()


def decoded(kind: str, paths: list[str]) -> Any:
    """Return the expression of a path's values."""
    if kind == "image":
        with Image.open(paths[0]) as first:
            scale = SIZE / min(first.size)
            wide, high = (round(side * scale) for side in first.size)
        box = (round((wide - SIZE) / 2), round((high - SIZE) / 2), SIZE, SIZE)
        return col("path").download().decode_image(mode="RGB").resize(wide, high).crop(box)
    return Loader(LOADED["decode"])(col("path"))


def main() -> None:
    task = Task.told()
    LOADED["embed"], LOADED["decode"] = model_and_decoder(task.kind, task.weights)
    timer = Timer()
    paths = task.files
    frame = daft.from_pydict({"path": paths}).into_batches(BATCH[task.kind])
    frame = frame.with_column("values", decoded(task.kind, paths))
    frame = frame.with_column("embedding", Embedder(task.kind)(col("values")))
    frame.select("path", "embedding").write_parquet(str(task.out))
    timer.stop()


if __name__ == "__main__":
    main()
