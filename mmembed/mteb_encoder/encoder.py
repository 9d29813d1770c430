"""A space as an encoder of mteb, so that mteb's own tasks and metrics judge it.

mteb hands over a DataLoader whose batches have columns ``image``, ``audio``, ``video`` or
``text``, each for the field of the space that takes its kind;
:mod:`mmembed.mteb_encoder.media` turns each value into what a space takes. mteb is imported when
an encoder is made, not before. This module knows nothing of tasks or metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from mmembed.errors import ConfigError, MediaError, MissingExtraError, SpaceError
from mmembed.modality import Modality
from mmembed.mteb_encoder.media import as_files, given_name, to_input
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.space.space_json import Precision

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from torch import Tensor

COLUMNS: tuple[Modality, ...] = ("image", "audio", "video", "text")  # that mteb's batches have
BATCH_SIZE = 32
FLOAT32 = (None, "float32")
IGNORED = {"show_progress_bar"}  # mteb's progress bars count batches of its own loaders


class MtebEncoder:
    """A space that mteb can run: its ``EncoderProtocol``, with a space inside.

    >>> model = MtebEncoder("runs/avdigits/space")
    >>> mteb.evaluate(model, tasks=[...])

    Args:
        space: a space, or the folder of a saved one.
        device: where a space given as a folder is loaded; ``auto`` is a GPU if there is one.
        precision: ``fp32``, or ``bf16`` through autocast.
        truncate_dim: keep only the first dimensions.
        trust: packages beside mmembed whose encoders a space given as a folder may name.

    Attributes:
        space: what embeds. Its weights must stay as they are: make a new encoder after training.
        mteb_model_meta: what mteb keeps results under: ``mmembed/NAME``, the space's fingerprint
            as the revision, and ``precision`` and ``truncate_dim`` where they are not the usual.

    Raises:
        MissingExtraError: mteb is not installed.
        SpaceError: the folder is no space.
        ConfigError: ``truncate_dim`` is out of range, or there is no such device.
    """

    def __init__(
        self,
        space: Space | str | Path,
        *,
        device: str = "auto",
        precision: Precision = "fp32",
        truncate_dim: int | None = None,
        trust: str | Iterable[str] = (),
    ) -> None:
        _mteb()
        if not isinstance(space, Space):
            space = load_space(space, device, trust)
        if truncate_dim is not None and not 1 <= truncate_dim <= space.dim:
            raise ConfigError(f"truncate_dim {truncate_dim}: the space has {space.dim} dimensions")
        self.space, self.precision, self.truncate_dim = space, precision, truncate_dim
        self.mteb_model_meta = self._meta()

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Return unit vectors ``(rows, dim)`` of float32, in the order of the rows.

        A row with values in several columns (a picture and its caption) gets the sum of their
        vectors, scaled to unit length.

        Args:
            inputs: mteb's DataLoader.
            task_metadata: names the task in errors; its prompts are not used.
            hf_split: not used.
            hf_subset: not used.
            prompt_type: ``query`` or ``document``; texts get the space's prompt of that name, if
                it has one. All else is encoded alike.
            **kwargs: mteb's ``encode_kwargs``: ``batch_size``, items a forward pass;
                ``show_progress_bar``, without effect; ``precision``, only ``float32``.

        Raises:
            SpaceError: the space has no encoder for a column of the task.
            ConfigError: two fields of the space take a column of the task, or a value is in a
                form that is not understood, or an option is.
            MediaError: a file can't be decoded; the error names column and row.
        """
        task = getattr(task_metadata, "name", "task")
        batch_size = _batch_size(kwargs)
        batches = as_files(inputs)
        total = None
        for column, field in self._fields(next(iter(batches), None), task).items():
            options = self._options(field, prompt_type) | {"batch_size": batch_size}
            vectors = np.stack(list(self._vectors(batches, column, field, options)))
            total = vectors if total is None else total + vectors
        if total is None:
            return np.empty((0, self.truncate_dim or self.space.dim), np.float32)
        norms = np.linalg.norm(total, axis=1, keepdims=True)
        return np.divide(total, norms, out=np.zeros_like(total), where=norms > 0)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the cosine of each of the first with each of the second, ``(first, second)``."""
        return _mteb().similarity_functions.cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the cosine of each pair, ``(pairs,)``."""
        return _mteb().similarity_functions.pairwise_cos_sim(embeddings1, embeddings2)

    def _fields(self, batch: Mapping[str, Any] | None, task: str) -> dict[str, str]:
        """Return the field for each column of a batch; none if there is no batch."""
        if batch is None:
            return {}
        columns = [column for column in COLUMNS if column in batch]
        if not columns:
            raise ConfigError(
                f"mteb task {task}: a batch has columns {', '.join(batch)}; one of "
                f"{', '.join(COLUMNS)} is needed"
            )
        fields = {}
        for column in columns:
            taking = [field for field, kind in self.space.fields.items() if kind == column]
            if not taking:
                raise SpaceError(
                    f"mteb task {task}: space {self.space.name} has no encoder for {column}; it "
                    f"embeds {', '.join(self.space.modalities)}"
                )
            if len(taking) > 1 and column not in taking:
                raise ConfigError(
                    f"mteb task {task}: space {self.space.name} takes {column} in the fields "
                    f"{', '.join(taking)}, and mteb can't say which: give it a space with one of "
                    "them"
                )
            fields[column] = column if column in taking else taking[0]
        return fields

    def _options(self, field: str, prompt_type: Any) -> dict[str, Any]:
        """Return options of ``encode_iter``, with the prompt of that name if the field has it."""
        options: dict[str, Any] = {"precision": self.precision, "truncate_dim": self.truncate_dim}
        name = str(getattr(prompt_type, "value", prompt_type))
        if name in dict(getattr(self.space.preprocess[field], "prompts", ())):
            options["prompt"] = name
        return options

    def _vectors(
        self,
        batches: Iterable[Mapping[str, Any]],
        column: str,
        field: str,
        options: Mapping[str, Any],
    ) -> Iterator[np.ndarray]:
        preprocess = self.space.preprocess[field]
        at = ""

        def values() -> Iterator[Any]:
            nonlocal at
            row = 0
            for batch in batches:
                for value in batch[column]:
                    at = f"{column} of row {row}"
                    at += "" if column == "text" else given_name(value)
                    yield to_input(value, preprocess, at)
                    row += 1

        try:
            yield from self.space.encode_iter(values(), field, **options)
        except MediaError as error:  # the input that was asked for last: they are decoded in turn
            raise MediaError(at, error.stage, error.message, error.decoder, error.advice) from None

    def _meta(self) -> ModelMeta:
        space, mteb = self.space, _mteb()
        settings = {"precision": self.precision, "truncate_dim": self.truncate_dim}
        usual = {"precision": "fp32", "truncate_dim": None}
        weights = list(space.state_dict().values())
        return mteb.models.ModelMeta(
            loader=None,
            name="mmembed/" + (re.sub(r"[^\w.-]+", "-", space.name).strip("-.") or "space"),
            revision=space.fingerprint,
            release_date=None,
            languages=None,
            n_parameters=sum(p.numel() for p in space.parameters()),
            memory_usage_mb=sum(w.numel() * w.element_size() for w in weights) / 2**20,
            max_tokens=None,
            embed_dim=self.truncate_dim or space.dim,
            license=_licence(space.licence, get_args(mteb.types.Licenses)),
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch", "safetensors"],
            similarity_fn_name="cosine",
            use_instructions=any(getattr(p, "prompts", ()) for p in space.preprocess.values()),
            training_datasets=None,
            modalities=[kind for kind in space.modalities if kind in COLUMNS],
            experiment_kwargs={k: v for k, v in settings.items() if v != usual[k]} or None,
        )


def _mteb() -> Any:
    try:
        import mteb
        import mteb.models
        import mteb.similarity_functions
        import mteb.types
    except ImportError:
        raise MissingExtraError("MtebEncoder", "mteb") from None
    return mteb


def _batch_size(options: Mapping[str, Any]) -> int:
    unknown = sorted(set(options) - IGNORED - {"batch_size", "precision"})
    if unknown:
        raise ConfigError(
            f"encode_kwargs: {', '.join(unknown)} is unknown; batch_size may be given, all else "
            "belongs to MtebEncoder"
        )
    if options.get("precision") not in FLOAT32:
        raise ConfigError(
            f"encode_kwargs: precision {options['precision']} can't be had, vectors are float32; "
            "take mteb's CompressionWrapper"
        )
    return options.get("batch_size", BATCH_SIZE)


def _licence(name: str, known: Iterable[str]) -> str | None:
    """Return a licence as mteb writes it; None for one that it can't name."""
    written = name.strip().lower().replace(" ", "-")
    if written in known or re.match(r"https?://", written):
        return name.strip() if "://" in name else written
    return None
