"""Inputs in memory to values: paths, bytes, pictures, waveforms, clips, texts and ids.

Nothing here knows a space: which preprocess an input goes through, the caller says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmembed.errors import ConfigError, ManifestError
from mmembed.media.audio import Waveform
from mmembed.media.file import MediaFile, MediaInfo
from mmembed.media.probe import probe
from mmembed.media.spans import Span
from mmembed.media.video import Clip
from mmembed.modality import Modality
from mmembed.preprocess.base import Preprocess
from mmembed.store.cells import category_content

TITLE = 60  # most letters of a text that errors show


@dataclass(frozen=True)
class EncodedFile:
    """A file on disk or in memory, probed and not yet decoded."""

    file: MediaFile
    info: MediaInfo

    @classmethod
    def of(cls, source: str | os.PathLike[str] | bytes) -> EncodedFile:
        """Open and probe a file; it is closed when its values were taken.

        Raises:
            MediaError: its content is of no known format, or it can't be read.
        """
        file = MediaFile(source)
        try:
            return cls(file, probe(file))
        except BaseException:
            file.close()
            raise

    @property
    def kind(self) -> Modality:
        """The modality of its content; a video can be taken for its sound track too."""
        return self.info.modality

    def values(self, preprocess: Preprocess) -> Iterator[np.ndarray]:
        """Yield the values of each span of the file.

        Raises:
            MediaError: it can't be decoded.
        """
        with self.file:
            for span in preprocess.spans(self.info):
                yield preprocess(preprocess.load(self.file, span))


@dataclass(frozen=True)
class DecodedMedia:
    """A picture ``(height, width, 3)`` of uint8, a ``Waveform`` or a ``Clip``, of that kind."""

    media: Any
    kind: Modality

    def values(self, preprocess: Preprocess) -> Iterator[np.ndarray]:
        """Yield values: a sound is cut as a file of its length would be, all else taken whole."""
        if not isinstance(self.media, Waveform):
            yield preprocess(self.media)
            return
        sound, rate = self.media, self.media.sample_rate
        info = MediaInfo("audio", "waveform", duration_seconds=sound.samples.shape[1] / rate)
        for span in preprocess.spans(info):
            first = round(span.start_seconds * rate) if isinstance(span, Span) else 0
            last = round(span.end_seconds * rate) if isinstance(span, Span) else None
            start_seconds = sound.start_seconds + first / rate
            yield preprocess(Waveform(sound.samples[:, first:last], rate, start_seconds))


def is_one(inputs: Any, kind: Modality | None = None) -> bool:
    """Return whether ``inputs`` is a single input, rather than many.

    Args:
        inputs: one or many.
        kind: of all of them, if they are texts or ids.
    """
    if kind == "category" and isinstance(inputs, (str, int, tuple, set, frozenset, Mapping)):
        return True
    if kind is not None:
        return isinstance(inputs, (str, os.PathLike))
    if isinstance(inputs, tuple):
        return len(inputs) == 2 and isinstance(inputs[1], (int, float))
    if isinstance(inputs, (np.ndarray, torch.Tensor)):
        return inputs.ndim == 3
    return isinstance(inputs, (str, os.PathLike, bytes, Image.Image, Waveform, Clip))


def as_media(given: Any, kind: Modality | None = None) -> EncodedFile | DecodedMedia:
    """Return one input as what it is.

    Args:
        given: a path, the bytes of a file, a PIL image, a uint8 array or tensor
            ``(height, width, 3)``, a pair of samples ``(samples,)`` or ``(channels, samples)``
            and a rate in Hz, a ``Waveform`` or a ``Clip``; a text, or ids.
        kind: of the input, if it is a text or ids: a string is a path otherwise.

    Raises:
        MediaError: a file whose content is of no known format, or that can't be read.
        ConfigError: an object of another type or shape.
    """
    if kind == "category":
        given = _ids(given)
    if kind is not None and isinstance(given, str):
        file = MediaFile.of_cell(_title(given), kind, given)
        return EncodedFile(file, probe(file))
    if isinstance(given, (str, os.PathLike, bytes)):
        return EncodedFile.of(given)
    if isinstance(given, Image.Image):
        return DecodedMedia(np.asarray(given.convert("RGB")), "image")
    if isinstance(given, Waveform):
        return DecodedMedia(given, "audio")
    if isinstance(given, Clip):
        return DecodedMedia(given, "video")
    if isinstance(given, tuple) and len(given) == 2:
        samples, rate = given
        samples = np.atleast_2d(np.asarray(samples, np.float32))
        return DecodedMedia(Waveform(samples, int(rate), 0.0), "audio")
    array = np.asarray(given)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3:
        return DecodedMedia(array, "image")
    raise ConfigError(
        f"an input of type {type(given).__name__} {getattr(array, 'shape', '')} is not understood: "
        "give a path, bytes, a PIL image, a uint8 array (height, width, 3), or (samples, rate); of "
        "a text or ids name the field too"
    )


def _ids(given: Any) -> Any:
    """Return ids as the content of a cell; a file as it is."""
    if isinstance(given, (set, frozenset)):
        given = sorted(given)
    if isinstance(given, (os.PathLike, bytes)):
        return given
    ids = list(given) if isinstance(given, (list, tuple)) else given
    ids = dict(ids) if isinstance(ids, Mapping) else ids
    try:
        return category_content(ids, f"an input {_title(str(given))}")
    except ManifestError as error:
        raise ConfigError(str(error)) from None


def _title(text: str) -> str:
    return repr(text if len(text) <= TITLE else text[: TITLE - 1] + "…")
