"""sentence-transformers' ``encode`` of paths of pictures."""

from __future__ import annotations

from models import BATCH
from outcome import Task, Timer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer


def main() -> None:
    task = Task.told()
    model = SentenceTransformer(modules=[Transformer(str(task.weights / "hf"))], device="cpu")
    timer = Timer()
    paths = task.files
    vectors = model.encode(
        paths, batch_size=BATCH[task.kind], normalize_embeddings=True, show_progress_bar=False
    )
    task.write(paths, vectors)
    timer.stop()


if __name__ == "__main__":
    main()
