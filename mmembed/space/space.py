"""A space: an encoder and a head a field, and unit vectors of one dimension.

It can be saved to a folder (``model.safetensors`` + ``space.json``) and asked for vectors of files
or of objects in memory. It knows nothing of training, of Parquet or of folders of media.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from mmembed.encoders.assets import assets_of
from mmembed.encoders.base import Encoder
from mmembed.encoders.description import describe
from mmembed.errors import ConfigError, SpaceError
from mmembed.modality import Modality
from mmembed.preprocess.base import Preprocess
from mmembed.space.encoding import Bucket, OnError, check_options, prefix, vector_sums
from mmembed.space.fields import (
    FormerArguments,
    check_field,
    kind_in_cells,
    kinds_of,
    prompted_fields,
    renamed,
)
from mmembed.space.fingerprint import fingerprint
from mmembed.space.heads import Hidden, heads
from mmembed.space.inputs import DecodedMedia, as_media, is_one
from mmembed.space.reduced_precision import PrecisionCheck
from mmembed.space.saving import save_space
from mmembed.space.space_json import Precision


class Space(nn.Module):
    """Encoders and heads into one shared space of unit vectors.

    A *field* has an encoder; its *kind* is the modality that the encoder takes. Most spaces have
    one field a kind, of the same name; two fields of one kind (a title and a body) have names of
    their own.

    Args:
        encoders: an encoder for each field. A field named ``image``, ``audio``, ``video`` or
            ``text`` is of that kind.
        dim: dimensions of the space.
        hidden: width of the heads' hidden layer; 0 for linear heads, None for no heads: features
            are vectors. A mapping says it for each field apart.
        dropout: dropout in the heads.
        name: what the space is called in tables and reports.
        licence: the licence of the weights, kept in ``space.json``.

    Raises:
        ConfigError: a name that can't be a field's, an encoder that takes another modality than
            its field is named for, or a field without a head that is not ``dim`` wide.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        dim: int = 128,
        hidden: Hidden = 0,
        dropout: float = 0.0,
        name: str = "space",
        licence: str = "",
    ) -> None:
        super().__init__()
        for field, encoder in encoders.items():
            check_field(field, encoder)
        self.encoders = nn.ModuleDict(encoders)
        widths = {field: encoder.width for field, encoder in encoders.items()}
        self.projections = nn.ModuleDict(heads(widths, dim, hidden, dropout))
        self.dim, self.hidden, self.dropout = dim, hidden, dropout
        self.name, self.licence = name, licence

    @property
    def fields(self) -> dict[str, Modality]:
        """The kind of each field, in the order of :mod:`mmembed.modality`."""
        return kinds_of(self.encoders)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The kinds of media that this space embeds, in the order of :mod:`mmembed.modality`."""
        return tuple(dict.fromkeys(self.fields.values()))

    @property
    def preprocess(self) -> dict[str, Preprocess]:
        """The preprocess of each field's encoder."""
        return {field: self._encoder(field).preprocess for field in self.fields}

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def _encoder(self, field: str) -> Encoder:
        return cast(Encoder, self.encoders[field])

    def field_of(self, name: str) -> str:
        """Return the field of that name, or the only one of the kind of that name.

        Raises:
            SpaceError: there is none.
            ConfigError: several fields are of that kind.
        """
        if name in self.encoders:
            return name
        fields = [field for field, kind in self.fields.items() if kind == name]
        if not fields:
            raise SpaceError(
                f"space {self.name} has no encoder for {name}; it embeds {', '.join(self.fields)}"
            )
        if len(fields) > 1:
            raise ConfigError(
                f"space {self.name} takes {name} in the fields {', '.join(fields)}: name one of "
                "them"
            )
        return fields[0]

    def adopt(self, preprocess: Mapping[str, Preprocess]) -> None:
        """Hand preprocesses that learnt from data to the encoders of their fields."""
        for field, each in preprocess.items():
            self._encoder(field).adopt(each)

    def embed(self, field: str, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return unit vectors ``(batch, dim)`` of preprocessed values of one field.

        Args:
            field: its name, or its kind if no other field is of it.
            values: a batch of what the field's preprocess returns, padded.
            mask: bool ``(batch, length)``, true where values are real; None if nothing varies.
        """
        field = self.field_of(field)
        features = self.encoders[field](values, mask)
        return nn.functional.normalize(self.projections[field](features).float(), dim=-1)

    @torch.inference_mode()
    def embed_batch(
        self, field: str, values: Tensor, mask: Tensor | None, precision: Precision = "fp32"
    ) -> np.ndarray:
        """Return unit vectors ``(batch, dim)`` of float32 of values on any device.

        The space must be in evaluation mode, or vectors would depend on their batch.
        """
        device = self.device
        mask = None if mask is None else mask.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            vectors = self.embed(field, values.to(device), mask)
        return vectors.float().cpu().numpy()

    def encode(
        self,
        inputs: Any,
        field: str | None = None,
        *,
        prompt: str | None = None,
        batch_size: int = 32,
        precision: Precision = "fp32",
        normalize: bool = True,
        truncate_dim: int | None = None,
        on_error: OnError = "raise",
        **former: Unpack[FormerArguments],
    ) -> np.ndarray:
        """Return vectors ``(inputs, dim)`` of float32, one an input, or ``(dim,)`` for one alone.

        A sound or video longer than a segment is cut into segments; its vector is their mean.

        Args:
            inputs: one input or many. An input is a path, the bytes of a file, a PIL image, a
                uint8 array or tensor ``(height, width, 3)``, a pair of samples ``(samples,)`` or
                ``(channels, samples)`` and a rate in Hz, a ``Waveform`` or a ``Clip``. For a field
                of texts it is the text, or the ``pathlib.Path`` of a text file; for one of ids an
                id, a tuple or set of tags, or a mapping from tags to weights.
            field: the field that embeds the inputs, or the only one of a kind; None finds out the
                kind of each, and takes a string for a path unless all fields take texts or ids.
            prompt: name of the prompt that is put before each text, such as ``query``.
            batch_size: items a forward pass.
            precision: ``fp32``, or ``bf16`` through autocast; the first batches of each padded
                length are compared with fp32 in every call, and where they disagree, a warning
                says so and the field goes on in fp32.
            normalize: scale vectors to unit length, after truncation.
            truncate_dim: keep only the first dimensions.
            on_error: ``raise`` at the first input that can't be decoded, or ``skip`` it: its
                vector is NaN, and a warning names it.
            **former: ``modality``, the former name of ``field``; it gives a warning.

        Raises:
            MediaError: an input can't be decoded, and ``on_error`` is ``raise``.
            SpaceError: the space has no encoder for an input's kind.
            ConfigError: an option out of range, or an input of another kind than the field's.
        """
        field = renamed(field, former)
        alone = is_one(inputs, kind_in_cells(self.fields, field and self.field_of(field)))
        vectors = self.encode_iter(
            [inputs] if alone else inputs,
            field,
            prompt=prompt,
            batch_size=batch_size,
            precision=precision,
            normalize=normalize,
            truncate_dim=truncate_dim,
            on_error=on_error,
        )
        rows = list(vectors)
        if alone:
            return rows[0]
        return np.stack(rows) if rows else np.empty((0, truncate_dim or self.dim), np.float32)

    def encode_iter(
        self,
        inputs: Iterable[Any],
        field: str | None = None,
        *,
        prompt: str | None = None,
        batch_size: int = 32,
        precision: Precision = "fp32",
        normalize: bool = True,
        truncate_dim: int | None = None,
        on_error: OnError = "raise",
        **former: Unpack[FormerArguments],
    ) -> Iterator[np.ndarray]:
        """Return the vectors of :meth:`encode` one by one, in order, as soon as they are known."""
        field = renamed(field, former)
        check_options(batch_size, truncate_dim, on_error, self.dim)
        check = PrecisionCheck(self.embed_batch, precision, warnings.warn)
        kind = kind_in_cells(self.fields, field and self.field_of(field))
        wanted = kind if field is None else field
        name = None if wanted is None else self.field_of(wanted)
        chosen = self.preprocess if name is None else {name: self.preprocess[name]}
        preprocess = prompted_fields(chosen, prompt)
        values = (self._values(given, name, kind, preprocess) for given in inputs)
        sums = vector_sums(values, check.embed, self.dim, batch_size, on_error)
        vectors = (prefix(vector, truncate_dim, normalize) for vector in sums)
        return self._evaluating(vectors)

    def _values(
        self,
        given: Any,
        field: str | None,
        kind: Modality | None,
        preprocesses: Mapping[str, Preprocess],
    ) -> Iterator[tuple[Bucket, np.ndarray]]:
        """Yield field, padded length and values of each segment of an input."""
        media = as_media(given, kind)
        name = self.field_of(field or media.kind)
        preprocess = preprocesses[name]
        if isinstance(media, DecodedMedia) and media.kind != preprocess.modality:
            raise ConfigError(
                f"field {name} takes {preprocess.modality}, but an input is {media.kind}"
            )
        for values in media.values(preprocess):
            yield (name, preprocess.bucket(values)), values

    def _evaluating(self, vectors: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        training = self.training
        self.eval()
        try:
            yield from vectors
        finally:
            self.train(training)

    def describe(self) -> dict[str, Any]:
        """Return the arguments that build this space again, as JSON-ready data."""
        return {
            "encoders": {field: describe(self.encoders[field]) for field in self.fields},
            "dim": self.dim,
            "hidden": self.hidden,
            "dropout": self.dropout,
        }

    @property
    def fingerprint(self) -> str:
        """A hash over all that decides a vector: weights, architecture and preprocessing."""
        return fingerprint(self.describe(), self.state_dict())

    def save(self, folder: str | Path, training: dict[str, Any] | None = None) -> Path:
        """Write ``model.safetensors``, ``space.json`` and assets into ``folder`` and return it.

        Args:
            folder: made if need be; a space already there is replaced, file by file.
            training: what it was trained on and how, kept as it is given.

        Raises:
            SpaceError: a weight or buffer is not finite. What is in ``folder`` stays as it is.
            StoreError: the disk is full, or ``folder`` can't be written to.
        """
        own = self.name, self.licence, self.fields
        assets = assets_of(dict(self.encoders.items())).values()
        save_space(Path(folder), *own, self.describe(), self.state_dict(), training or {}, assets)
        return Path(folder)
