"""A space: one encoder and one projection a modality, unit vectors of one dimension.

It can be saved to a folder (``model.safetensors`` + ``space.json``), loaded without training
code, and asked for vectors of files or of objects in memory. It knows nothing of training, of
Parquet or of folders of media.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmembed.card import FORMAT, Precision, read_card
from mmembed.encoders.base import Encoder, build, describe
from mmembed.errors import ConfigError, SpaceError
from mmembed.modality import MODALITIES


class Projection(nn.Module):
    """Features ``(batch, width)`` to the space ``(batch, dim)``: linear, or an MLP with dropout.

    Args:
        width: features in.
        dim: dimensions out.
        hidden: width of the hidden layer; 0 for a linear map.
        dropout: share of the features dropped in training.
    """

    def __init__(self, width: int, dim: int, hidden: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.LayerNorm(width), nn.Dropout(dropout)]
        if hidden:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden or width, dim))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(batch, dim)``, not normalised."""
        return self.layers(features)


class Space(nn.Module):
    """Encoders and projections into one shared space of unit vectors.

    Args:
        encoders: an encoder for each modality, keyed ``image``, ``audio``, ``video`` or ``text``.
        dim: dimensions of the space.
        hidden: width of the projections' hidden layer; 0 for linear projections.
        dropout: dropout in the projections.
        name: what the space is called in tables and reports.
        licence: the licence of the weights, kept in ``space.json``.

    Raises:
        ConfigError: a key that is no modality, or an encoder that preprocesses another one.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        dim: int = 128,
        hidden: int = 0,
        dropout: float = 0.0,
        name: str = "space",
        licence: str = "",
    ) -> None:
        super().__init__()
        for modality, encoder in encoders.items():
            if modality not in MODALITIES:
                known = ", ".join(MODALITIES)
                raise ConfigError(f"space.encoders: {modality} is no modality; choose from {known}")
            if encoder.preprocess.modality != modality:
                raise ConfigError(
                    f"space.encoders.{modality}: {type(encoder).__name__} takes "
                    f"{encoder.preprocess.modality}"
                )
        self.encoders = nn.ModuleDict(encoders)
        self.projections = nn.ModuleDict(
            {m: Projection(e.width, dim, hidden, dropout) for m, e in encoders.items()}
        )
        self.dim, self.hidden, self.dropout = dim, hidden, dropout
        self.name, self.licence = name, licence

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that this space can embed, in the order of :mod:`mmembed.modality`."""
        return tuple(m for m in MODALITIES if m in self.encoders)

    @property
    def preprocess(self) -> dict[str, Any]:
        """The preprocess of each modality's encoder."""
        return {m: self.encoders[m].preprocess for m in self.modalities}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def embed(self, modality: str, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return unit vectors ``(batch, dim)`` of preprocessed values of one modality."""
        features = self.encoders[modality](values, mask)
        return nn.functional.normalize(self.projections[modality](features).float(), dim=-1)

    @torch.inference_mode()
    def embed_batch(
        self, modality: str, values: Tensor, mask: Tensor | None, precision: Precision = "fp32"
    ) -> np.ndarray:
        """Return unit vectors ``(batch, dim)`` of float32 of values on any device.

        The space must be in evaluation mode, or vectors would depend on their batch.
        """
        device = self.device
        mask = None if mask is None else mask.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            vectors = self.embed(modality, values.to(device), mask)
        return vectors.float().cpu().numpy()

    def encode(self, inputs: Any, modality: str | None = None, **options: Any) -> np.ndarray:
        """Return vectors ``(inputs, dim)`` of float32; see :func:`mmembed.inference.encode`."""
        from mmembed.inference import encode

        return encode(self, inputs, modality, **options)

    def encode_iter(
        self, inputs: Iterable[Any], modality: str | None = None, **options: Any
    ) -> Iterator[np.ndarray]:
        """Yield one vector an input, in order; see :func:`mmembed.inference.encode_iter`."""
        from mmembed.inference import encode_iter

        return encode_iter(self, inputs, modality, **options)

    def describe(self) -> dict[str, Any]:
        """Return the arguments that build this space again, as JSON-ready data."""
        return {
            "encoders": {m: describe(self.encoders[m]) for m in self.modalities},
            "dim": self.dim,
            "hidden": self.hidden,
            "dropout": self.dropout,
        }

    @property
    def fingerprint(self) -> str:
        """A hash over all that decides a vector: weights, architecture and preprocessing."""
        digest = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(plain.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]

    def save(self, folder: str | Path, training: dict[str, Any] | None = None) -> Path:
        """Write ``model.safetensors`` and ``space.json`` into ``folder`` and return it.

        Args:
            folder: made if need be; a space already there is replaced, file by file.
            training: what it was trained on and how, kept as it is given.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        partial = folder / "model.safetensors.partial"
        save_file(weights, partial)
        os.replace(partial, folder / "model.safetensors")
        card = {
            "format": FORMAT,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "metric": "cosine",
            "modalities": list(self.modalities),
            **self.describe(),
            "licence": self.licence,
            "versions": {p: version(p) for p in ("mmembed", "torch", "timm", "torchaudio")},
            "training": training or {},
        }
        partial = folder / "space.json.partial"
        partial.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")
        os.replace(partial, folder / "space.json")
        return folder


def load_space(folder: str | Path, device: str | torch.device = "cpu") -> Space:
    """Load a space from the folder that :meth:`Space.save` wrote, in evaluation mode.

    Raises:
        SpaceError: the folder is no space, is of another version, or its two files do not
            belong together.
    """
    card = read_card(folder)
    path = Path(folder) / "model.safetensors"
    try:
        encoders = build(card["encoders"])
        space = Space(
            encoders, card["dim"], card["hidden"], card["dropout"], card["name"], card["licence"]
        )
    except KeyError as error:
        raise SpaceError(f"{folder}/space.json: has no {error.args[0]!r}") from None
    try:
        weights = load_file(path)
        space.load_state_dict(weights)
    except FileNotFoundError:
        raise SpaceError(f"{folder}: has space.json but no model.safetensors") from None
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise SpaceError(f"{path}: does not fit space.json: {first}") from None
    if space.fingerprint != card["fingerprint"]:
        raise SpaceError(
            f"{folder}: model.safetensors and space.json do not belong together (fingerprint "
            f"{space.fingerprint} instead of {card['fingerprint']}). Save the space again."
        )
    return space.to(device).eval()
