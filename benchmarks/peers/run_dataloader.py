"""The loop that people write themselves: a torch DataLoader, a worker a core, then the model."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from models import BATCH, model_and_decoder
from outcome import Task, Timer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Files(Dataset):
    """Paths, decoded and transformed when they are asked for."""

    def __init__(self, paths: list[str], decode: Callable[[str], Tensor]) -> None:
        self.paths, self.decode = paths, decode

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor:
        return self.decode(self.paths[number])


def main() -> None:
    task = Task.told()
    embed, decode = model_and_decoder(task.kind, task.weights)
    timer = Timer()
    paths = task.files
    loader = DataLoader(Files(paths, decode), BATCH[task.kind], num_workers=os.cpu_count() or 1)
    task.write(paths, np.concatenate([embed(batch) for batch in loader]))
    timer.stop()


if __name__ == "__main__":
    main()
