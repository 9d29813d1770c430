"""Inputs in memory to values: paths, bytes, pictures, waveforms, clips, texts and ids.

Nothing here knows a space: which preprocess an input goes through, the caller says.
"""

from __future__ import annotations

import io
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
from mmembed.media.pixels import rgb_of_array, upright_rgb
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
            for media in preprocess.stream(self.file, preprocess.spans(self.info)):
                yield preprocess(media)


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
        return inputs.ndim in (2, 3)
    return isinstance(inputs, (str, os.PathLike, bytes, io.BytesIO, Image.Image, Waveform, Clip))


def as_media(given: Any, kind: Modality | None = None) -> EncodedFile | DecodedMedia:
    """Return one input as what it is.

    Args:
        given: a path, the bytes of a file (also as ``BytesIO``), a PIL image, an array or tensor
            of a picture (see :func:`~mmembed.media.pixels.rgb_of_array`; of two axes if its
            values are bool or unsigned, since others may be a sound), a pair of samples
            ``(samples,)`` or ``(channels, samples)`` and a rate in Hz, a ``Waveform`` or a
            ``Clip``; a text, or ids.
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
    if isinstance(given, io.BytesIO):
        return EncodedFile.of(given.getvalue())
    if isinstance(given, Image.Image):
        return DecodedMedia(_pixels(given), "image")
    if isinstance(given, Waveform):
        return DecodedMedia(given, "audio")
    if isinstance(given, Clip):
        return DecodedMedia(given, "video")
    if isinstance(given, tuple) and len(given) == 2:
        samples, rate = given
        samples = np.atleast_2d(np.asarray(samples, np.float32))
        return DecodedMedia(Waveform(samples, int(rate), 0.0), "audio")
    array = np.asarray(given)
    try:
        if array.ndim == 2 and array.dtype.kind not in "bu":
            raise ValueError("may be a sound of several channels as well as a grey picture")
        return DecodedMedia(rgb_of_array(array), "image")
    except ValueError:
        raise ConfigError(
            f"an input of type {type(given).__name__} {getattr(given, 'shape', '')} is not "
            "understood: give a path, bytes, a PIL image, an array (height, width, 3) with pixels "
            "in it, or (samples, rate); of a text or ids name the field too"
        ) from None


def _pixels(image: Image.Image) -> np.ndarray:
    """Return a PIL image as RGB uint8 ``(height, width, 3)``.

    Raises:
        ConfigError: it can't be decoded, or has no pixels.
    """
    try:
        if not (image.width and image.height):
            raise ValueError("it has no pixels")
        return upright_rgb(image)
    except Exception as error:  # it may still be a file, which Pillow reads only now
        raise ConfigError(f"an input of type {type(image).__name__}: {error}") from None


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
