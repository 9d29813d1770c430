"""Values in the columns of mteb's batches, as inputs of a space, without loss.

Columns of Hugging Face ``datasets`` are left undecoded: each file goes through the decoders and
the preprocess that ``mmembed embed`` uses, and torchcodec (which mteb would decode with) is not
needed. What is decoded already is taken as it is, a sound only together with its rate. This
module knows nothing of encoders, tasks or metrics.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mmembed.errors import ConfigError
from mmembed.media.audio import Waveform
from mmembed.media.video import Clip
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.video import VideoPreprocess

ENCODED = "_hf_encoded"  # where a decoder that ``datasets`` made keeps the file it reads


def as_files(inputs: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Return the same rows in the same batches, with media left as ``{"bytes", "path"}``.

    A dataset whose rows a function or a format of its own makes is left as it is, and so is a
    picture column that asks for a colour mode. What is returned can be read again, in the same
    order even if the loader shuffles.

    Args:
        inputs: mteb's DataLoader, or any iterable of batches.
    """
    import datasets

    if isinstance(inputs, Iterator):
        return list(inputs)
    if not isinstance(inputs, DataLoader) or not isinstance(inputs.dataset, datasets.Dataset):
        return inputs
    dataset = inputs.dataset
    if dataset.format["type"] is not None or inputs.batch_sampler is None:
        return inputs
    for name, feature in dataset.features.items():
        if not isinstance(feature, (datasets.Image, datasets.Audio, datasets.Video)):
            continue
        if feature.decode and getattr(feature, "mode", None) is None:
            dataset = dataset.cast_column(name, replace(feature, decode=False))
    return DataLoader(
        dataset,
        batch_sampler=list(inputs.batch_sampler),
        num_workers=inputs.num_workers,
        collate_fn=inputs.collate_fn,
    )


def given_name(value: Any) -> str:
    """Return the name of the file of a value as an error shows it, empty if it has none."""
    if isinstance(value, Mapping):
        value = value.get("path")
    return f" ({os.fspath(value)})" if isinstance(value, (str, os.PathLike)) and value else ""


def to_input(value: Any, preprocess: Preprocess, at: str) -> Any:
    """Return one value of a column as an input of :meth:`mmembed.space.space.Space.encode`.

    A file is a path, bytes, a mapping with ``bytes`` or ``path``, or a decoder of ``datasets``.
    Besides that:

    ========= ====================================================================================
    image     PIL image; uint8 array ``(height, width, 3)`` or tensor ``(3 or 1, height, width)``
    audio     mapping with ``array``, floats ``(samples,)`` or ``(channels, samples)`` in [-1, 1],
              and ``sampling_rate`` in Hz
    video     uint8 frames, an array ``(frames, height, width, 3)`` or a tensor ``(frames, 3 or 1,
              height, width)``; they have no times, so the clip is one segment
    text      the text itself
    ========= ====================================================================================

    Args:
        value: what stands in the column.
        preprocess: of the space's encoder for this column.
        at: column and row, for errors.

    Raises:
        ConfigError: the value is missing, in another form, or a sound without its rate.
    """
    modality = preprocess.modality
    if modality == "text":
        if not isinstance(value, str):
            raise ConfigError(f"{at}: {_shown(value)} is no text")
        return value
    if hasattr(value, ENCODED):
        value = getattr(value, ENCODED)
    if isinstance(value, Mapping) and "array" in value and modality == "audio":
        return _sound(value, at)
    if isinstance(value, Mapping):
        source = value.get("path") if value.get("bytes") is None else value["bytes"]
    else:
        source = value
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike, bytes)) and source != "":
        return source
    if modality == "image" and isinstance(value, Image.Image):
        return value
    if modality == "image" and (pixels := _pixels(value, 3)) is not None:
        return pixels
    if isinstance(preprocess, VideoPreprocess) and (frames := _pixels(value, 4)) is not None:
        return _clip(frames, preprocess.frames)
    raise ConfigError(f"{at}: {_shown(value)} is not understood as {modality}")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return f"an array of {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"


def _sound(value: Mapping[str, Any], at: str) -> Waveform:
    try:
        rate = float(value["sampling_rate"])
    except (KeyError, TypeError, ValueError):
        rate = 0.0
    if rate < 1 or not rate.is_integer():
        raise ConfigError(
            f"{at}: sampling_rate {value.get('sampling_rate')} is not a rate in Hz, so its array "
            "can't be resampled"
        )
    samples = np.asarray(value["array"])
    layout = samples.ndim == 1 or (samples.ndim == 2 and samples.shape[0] <= samples.shape[1])
    if samples.dtype.kind != "f" or not samples.size or not layout:
        raise ConfigError(
            f"{at}: {_shown(samples)}; a sound is floats (samples,) or (channels, samples) in "
            "[-1, 1]"
        )
    if not np.isfinite(samples).all():
        raise ConfigError(f"{at}: its array holds NaN or infinity")
    return Waveform(np.atleast_2d(samples.astype(np.float32)), int(rate))


def _pixels(value: Any, axes: int) -> np.ndarray | None:
    """Return uint8 RGB with the channels last; None if that is not what the value is."""
    if isinstance(value, torch.Tensor) and value.ndim == axes:
        value = value.cpu().movedim(-3, -1).numpy()
    if not isinstance(value, np.ndarray) or value.ndim != axes or value.dtype != np.uint8:
        return None
    if value.shape[-1] not in (1, 3) or not value.size:
        return None
    return np.ascontiguousarray(np.broadcast_to(value, (*value.shape[:-1], 3)))


def _clip(frames: np.ndarray, wanted: int) -> Clip:
    """Take the frames shown at the midpoints of ``wanted`` equal parts, each lasting as long."""
    shown = ((np.arange(wanted) + 0.5) * len(frames) / wanted).astype(int)
    index = np.unique(shown)
    return Clip(frames[index], index.astype(np.float64))
