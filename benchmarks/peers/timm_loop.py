"""A torch loop over a folder of pictures as people write it: DataLoader, timm's ViT-S/16, npy.

Usage::

    python benchmarks/peers/timm_loop.py FOLDER OUT.npy
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """Pictures of a folder, decoded and transformed when they are asked for."""

    def __init__(self, folder: Path, transform: object) -> None:
        self.paths, self.transform = sorted(folder.iterdir()), transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.transform(Image.open(self.paths[number]).convert("RGB"))


def main() -> None:
    folder, out = map(Path, sys.argv[1:])
    model = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    loader = DataLoader(Pictures(folder, transform), 32, num_workers=os.cpu_count() or 1)
    with torch.inference_mode():
        vectors = [torch.nn.functional.normalize(model(batch), dim=-1).numpy() for batch in loader]
    np.save(out, np.concatenate(vectors))


if __name__ == "__main__":
    main()
