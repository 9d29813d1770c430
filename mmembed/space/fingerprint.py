"""The fingerprint of a space: a hash over all that decides a vector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def fingerprint(description: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """Return 32 hexadecimal digits of architecture, preprocessing and weights.

    Args:
        description: the arguments that build the space, by stable names.
        weights: every tensor of its state, by name.
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
