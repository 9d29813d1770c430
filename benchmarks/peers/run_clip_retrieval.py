"""``clip-retrieval inference`` with an open_clip model from a local checkpoint.

Its model loader keeps what it loaded, so the model is loaded before the clock starts by the same
call that it makes itself. It writes ``.npy`` of float16; that is turned into the Parquet of the
other runners afterwards.
"""

from __future__ import annotations

import os
from pathlib import Path

from outcome import Task, Timer

NAME, BATCH = "vits16", 32


def main() -> None:
    import open_clip
    from all_clip import load_clip
    from clip_retrieval.clip_inference import clip_inference

    task = Task.told()
    open_clip.add_model_config(task.weights / "clip")
    name = f"open_clip:{NAME}/{task.weights.absolute() / 'clip' / 'clip.safetensors'}"
    load_clip(clip_model=name, use_jit=False, warmup_batch_size=BATCH, clip_cache_path=None)
    timer = Timer()
    clip_inference(
        str(task.media),
        str(task.out),
        clip_model=name,
        batch_size=BATCH,
        num_prepro_workers=os.cpu_count() or 1,
        enable_text=False,
    )
    print()
    timer.stop()
    collect(task)


def collect(task: Task) -> None:
    """Write what it wrote as the other runners do."""
    import numpy as np
    import pyarrow.parquet as pq

    vectors = [np.load(path) for path in sorted((task.out / "img_emb").iterdir())]
    names = [pq.read_table(path) for path in sorted((task.out / "metadata").iterdir())]
    paths = [str(Path(path)) for table in names for path in table["image_path"].to_pylist()]
    task.write(paths, np.concatenate(vectors))


if __name__ == "__main__":
    main()
