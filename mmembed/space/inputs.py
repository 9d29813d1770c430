"""Objects in memory to vectors: paths, bytes, pictures, waveforms, clips.

The same bucketed batches as folder embedding, without workers or files. It knows a space only
by its ``preprocess`` and ``embed_batch``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image

from mmembed.data.batch import Buckets, collate
from mmembed.errors import ConfigError, MediaError, SpaceError
from mmembed.media.audio import Waveform
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.video import Clip
from mmembed.preprocess.base import Preprocess
from mmembed.space.reduced_precision import PrecisionCheck

if TYPE_CHECKING:
    from mmembed.space.space import Space
    from mmembed.space.space_json import Precision


def encode(
    space: Space,
    inputs: Any,
    modality: str | None = None,
    *,
    batch_size: int = 32,
    precision: Precision = "fp32",
    normalize: bool = True,
    truncate_dim: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> np.ndarray:
    """Return vectors ``(inputs, dim)`` of float32, one an input, or ``(dim,)`` for one alone.

    Args:
        space: what embeds.
        inputs: one input or many. An input is a path, the bytes of a file, a PIL image, a
            uint8 array or tensor ``(height, width, 3)``, a pair of samples ``(samples,)`` or
            ``(channels, samples)`` and a rate in Hz, a ``Waveform`` or a ``Clip``.
        modality: what the inputs are; None finds out for each.
        batch_size: items a forward pass.
        precision: ``fp32``, or ``bf16`` through autocast; the first batches of each padded length
            are compared with fp32 in every call, and where they disagree, a warning says so and
            the modality goes on in fp32.
        normalize: scale vectors to unit length, after truncation.
        truncate_dim: keep only the first dimensions.
        on_error: ``raise`` at the first input that can't be embedded, or ``skip`` it: its
            vector is NaN, and a warning names it.

    A sound or video longer than a segment is cut into segments; its vector is their mean.

    Raises:
        MediaError: an input can't be decoded, and ``on_error`` is ``raise``.
        SpaceError: the space has no encoder for an input's modality.
        ConfigError: an option out of range.
    """
    alone = _is_one(inputs)
    vectors = encode_iter(
        space,
        [inputs] if alone else inputs,
        modality,
        batch_size=batch_size,
        precision=precision,
        normalize=normalize,
        truncate_dim=truncate_dim,
        on_error=on_error,
    )
    rows = list(vectors)
    if alone:
        return rows[0]
    return np.stack(rows) if rows else np.empty((0, truncate_dim or space.dim), np.float32)


def encode_iter(
    space: Space,
    inputs: Iterable[Any],
    modality: str | None = None,
    *,
    batch_size: int = 32,
    precision: Precision = "fp32",
    normalize: bool = True,
    truncate_dim: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Iterator[np.ndarray]:
    """Yield the vectors of :func:`encode` one by one, in order, as soon as they are known."""
    if truncate_dim is not None and not 1 <= truncate_dim <= space.dim:
        raise ConfigError(f"truncate_dim {truncate_dim}: the space has {space.dim} dimensions")
    if batch_size < 1:
        raise ConfigError(f"batch_size {batch_size}: must be at least 1")
    kept = truncate_dim or space.dim
    buckets: Buckets[int] = Buckets(batch_size)
    sums: dict[int, np.ndarray] = {}
    waiting: dict[int, int] = {}
    following = 0
    checked = PrecisionCheck(space.embed_batch, precision, warnings.warn)

    def embed(bucket: Any, batch: list[tuple[int, np.ndarray]]) -> None:
        kind, length = bucket
        values, mask = collate([item for _, item in batch], length)
        vectors = checked.embed(kind, values, mask)
        for (index, _), vector in zip(batch, vectors, strict=True):
            sums[index] = sums[index] + vector
            waiting[index] -= 1

    def ready(index: int) -> np.ndarray:
        vector = sums.pop(index)[:kept]
        del waiting[index]
        norm = np.linalg.norm(vector)
        return vector / norm if normalize and norm > 0 else vector

    training = space.training
    space.eval()
    try:
        for index, given in enumerate(inputs):
            sums[index], waiting[index] = np.zeros(space.dim, np.float32), 1
            try:
                for kind, length, values in _items(space, given, modality):
                    waiting[index] += 1
                    for bucket, batch in buckets.add(index, (kind, length), values):
                        embed(bucket, batch)
            except MediaError as error:
                if on_error == "raise":
                    raise
                warnings.warn(f"skipped: {error}", stacklevel=2)
                sums[index] = np.full(space.dim, np.nan, np.float32)
            waiting[index] -= 1
            while waiting.get(following) == 0:
                yield ready(following)
                following += 1
        for bucket, batch in buckets.flush():
            embed(bucket, batch)
        while following in waiting:
            yield ready(following)
            following += 1
    finally:
        space.train(training)


def _is_one(inputs: Any) -> bool:
    if isinstance(inputs, tuple):
        return len(inputs) == 2 and isinstance(inputs[1], (int, float))
    if isinstance(inputs, (np.ndarray, torch.Tensor)):
        return inputs.ndim == 3
    return isinstance(inputs, (str, os.PathLike, bytes, Image.Image, Waveform, Clip))


def _items(
    space: Space, given: Any, modality: str | None
) -> Iterator[tuple[str, int | None, np.ndarray]]:
    """Yield modality, padded length and values of each segment of an input."""
    if isinstance(given, (str, os.PathLike, bytes)):
        with MediaFile(given) as file:
            info = probe(file)
            kind = modality or info.modality
            preprocess = _preprocess(space, kind)
            for span in preprocess.spans(info):
                yield _item(kind, preprocess, preprocess.load(file, span))
        return
    kind, media = _in_memory(given)
    if modality not in (None, kind):
        raise ConfigError(f"modality {modality}: an input is {kind}")
    preprocess = _preprocess(space, kind)
    for part in _segments(preprocess, media):
        yield _item(kind, preprocess, part)


def _segments(preprocess: Preprocess, media: Any) -> Iterator[Any]:
    """Cut a waveform as a file of its length would be; other media are taken whole."""
    if not isinstance(media, Waveform):
        yield media
        return
    rate = media.sample_rate
    info = MediaInfo("audio", "waveform", duration_seconds=media.samples.shape[1] / rate)
    for span in preprocess.spans(info):
        first = round(span.start_seconds * rate) if span else 0
        last = round(span.end_seconds * rate) if span else None
        yield Waveform(media.samples[:, first:last], rate, media.start_seconds + first / rate)


def _preprocess(space: Space, kind: str) -> Preprocess:
    if kind not in space.modalities:
        raise SpaceError(
            f"space {space.name} has no encoder for {kind}; it embeds {', '.join(space.modalities)}"
        )
    return space.preprocess[kind]


def _item(kind: str, preprocess: Preprocess, media: Any) -> tuple[str, int | None, np.ndarray]:
    values = preprocess(media)
    return kind, preprocess.bucket(values), values


def _in_memory(given: Any) -> tuple[str, Any]:
    if isinstance(given, Image.Image):
        return "image", np.asarray(given.convert("RGB"))
    if isinstance(given, Waveform):
        return "audio", given
    if isinstance(given, Clip):
        return "video", given
    if isinstance(given, tuple) and len(given) == 2:
        samples, rate = given
        return "audio", Waveform(np.atleast_2d(np.asarray(samples, np.float32)), int(rate), 0.0)
    array = np.asarray(given)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3:
        return "image", array
    raise ConfigError(
        f"an input of type {type(given).__name__} {getattr(array, 'shape', '')} is not understood: "
        "give a path, bytes, a PIL image, a uint8 array (height, width, 3), or (samples, rate)"
    )
