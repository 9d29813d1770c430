"""Files of a space as a stranger may write them, with the fingerprint that belongs to them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

GONE = object()  # the value of a key that is taken out


def copied(folder: Path, target: Path) -> Path:
    """Return a copy of a space's folder."""
    shutil.copytree(folder, target)
    return target


def change(folder: Path, keys: Sequence[str | int], value: Any) -> None:
    """Set or take out one value of ``space.json``, and sign the space anew unless that is it."""
    card = json.loads((folder / "space.json").read_text("utf-8"))
    place = card
    for key in keys[:-1]:
        place = place[key]
    if value is GONE:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    if keys[0] == "fingerprint":
        (folder / "space.json").write_text(json.dumps(card), "utf-8")
    else:
        write_signed(folder, card)


def write_signed(folder: Path, card: Any) -> None:
    """Write ``space.json`` with the right fingerprint: a stranger computes it too."""
    keys = ("encoders", "dim", "hidden", "dropout")
    if isinstance(card, dict) and isinstance(card.get("fingerprint"), str):
        described = {key: card[key] for key in keys if key in card}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        card = {**card, "fingerprint": digest.hexdigest()[:32]}
    (folder / "space.json").write_text(json.dumps(card), "utf-8")
