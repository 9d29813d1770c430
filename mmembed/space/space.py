"""A space: one encoder and one projection a modality, unit vectors of one dimension.

It can be saved to a folder (``model.safetensors`` + ``space.json``), loaded without training
code, and asked for vectors of files or of objects in memory. It knows nothing of training, of
Parquet or of folders of media.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmembed.encoders.base import Encoder
from mmembed.encoders.description import build, describe, is_own
from mmembed.encoders.size_limit import sketch
from mmembed.encoders.weights import (
    check_shapes,
    first_not_finite,
    load_weights,
    save_weights,
    shapes_of,
)
from mmembed.errors import ConfigError, MmembedError, SpaceError
from mmembed.errors.plain_text import one_line
from mmembed.modality import MODALITIES
from mmembed.space.space_json import (
    CARD,
    FORMAT,
    WEIGHTS,
    Precision,
    read_card,
    space_file,
    trusted_packages,
)
from mmembed.store.writer import write_whole

FINITE_ADVICE = "Train with a lower model.learning_rate, or in fp32 (trainer.precision: 32-true)."


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
        """Return vectors ``(inputs, dim)`` of float32; see :func:`mmembed.space.inputs.encode`."""
        from mmembed.space.inputs import encode

        return encode(self, inputs, modality, **options)

    def encode_iter(
        self, inputs: Iterable[Any], modality: str | None = None, **options: Any
    ) -> Iterator[np.ndarray]:
        """Yield one vector an input, in order; see :func:`mmembed.space.inputs.encode_iter`."""
        from mmembed.space.inputs import encode_iter

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
        return _fingerprint(self.describe(), self.state_dict())

    def save(self, folder: str | Path, training: dict[str, Any] | None = None) -> Path:
        """Write ``model.safetensors`` and ``space.json`` into ``folder`` and return it.

        Args:
            folder: made if need be; a space already there is replaced, file by file.
            training: what it was trained on and how, kept as it is given.

        Raises:
            SpaceError: a weight or buffer is not finite. What is in ``folder`` stays as it is.
            StoreError: the disk is full, or ``folder`` can't be written to.
        """
        folder = Path(folder)
        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        broken = first_not_finite(weights)
        if broken is not None:
            raise SpaceError(
                f"{folder}: not saved, since {broken} holds NaN or infinity. {FINITE_ADVICE}"
            )
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
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        write_whole(folder / WEIGHTS, lambda path: save_weights(weights, path))
        write_whole(folder / CARD, lambda path: path.write_text(text, "utf-8"))
        return folder


def load_space(
    folder: str | Path, device: str | torch.device = "cpu", trust: str | Iterable[str] | None = None
) -> Space:
    """Load a space from the folder that :meth:`Space.save` wrote, in evaluation mode.

    A stranger's space does no harm: nothing of it runs, nothing is fetched, and no file but its
    own two is opened. Its classes are mmembed's own or of packages in ``trust``; the model is no
    larger than its weights, unless a class of such a package takes part.

    Args:
        folder: of the space.
        device: where its weights go.
        trust: packages beside mmembed whose encoders the space may name, one by one or with
            commas between. Their code runs, with arguments of the space's choice.

    Raises:
        SpaceError: the folder is no space, is of another version, names a class that is not
            trusted, its two files do not belong together, or a weight is not finite.
        ConfigError: ``trust`` holds something else than names of packages.
    """
    card, packages = read_card(folder), trusted_packages(trust)
    path = space_file(folder, WEIGHTS)
    described = {key: card[key] for key in ("encoders", "dim", "hidden", "dropout")}

    def make() -> Space:
        parts = card["encoders"].items()
        encoders = {m: build(d, f"encoders.{m}", packages) for m, d in parts}
        rest = (card[key] for key in ("dim", "hidden", "dropout", "name", "licence"))
        return Space(encoders, *rest)

    with _faults_of(f"{folder}/{WEIGHTS}"):
        shapes = shapes_of(path)
    with _faults_of(f"{folder}/{CARD}"):
        if is_own(card["encoders"]):
            model = sketch(make, len(shapes), path.stat().st_size)
            check_shapes(model, shapes)
        space = make()
    with _faults_of(f"{folder}/{WEIGHTS}"):
        load_weights(space, path)
    broken = first_not_finite(space.state_dict())
    if broken is not None:
        raise SpaceError(f"{folder}/{WEIGHTS}: {broken} holds NaN or infinity. {FINITE_ADVICE}")
    fingerprint = _fingerprint(described, space.state_dict())
    if fingerprint != card["fingerprint"]:
        raise SpaceError(
            f"{folder}: model.safetensors and space.json do not belong together (fingerprint "
            f"{fingerprint} instead of {card['fingerprint']}). Save the space again."
        )
    return space.to(device).eval()


def _fingerprint(description: dict[str, Any], weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


@contextmanager
def _faults_of(file: str) -> Iterator[None]:
    """Name the file in whatever goes wrong over it: a stranger's may bring about any error."""
    try:
        yield
    except Exception as error:
        text = error if isinstance(error, MmembedError) else f"can't be read: {one_line(error)}"
        raise SpaceError(f"{file}: {text}", advice=getattr(error, "advice", "")) from None
