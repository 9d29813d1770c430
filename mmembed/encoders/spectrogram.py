"""The spectrogram of an audio encoder: its bands, its window, and how it is standardised."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Literal

from typing_extensions import NotRequired, TypedDict


@dataclass(frozen=True)
class Spectrogram:
    """A log-mel spectrogram, ``log(mel + floor * mean(mel))``, standardised an item.

    Args:
        mels: number of mel bands.
        window_seconds: length of the Hann window.
        step_seconds: distance between two frames.
        lowest_hz: lower edge of the first band.
        highest_hz: upper edge of the last band; None for half the sample rate.
        standardise: ``item`` removes the mean and scale of the whole spectrogram, ``band`` also
            the mean of each band (robust to another microphone), ``none`` neither.
        floor: share of the item's mean power that is added to every band: what lies further
            below it than this (1e-3: 30 dB) is one to the encoder, noise or not. 0 adds the
            same 1e-6 to every item, so that loudness does make a difference.
    """

    mels: int = 64
    window_seconds: float = 0.025
    step_seconds: float = 0.010
    lowest_hz: float = 20.0
    highest_hz: float | None = None
    standardise: Literal["none", "item", "band"] = "item"
    floor: float = 1e-3


class FormerArguments(TypedDict):
    """Arguments of ``AudioEncoder`` in version 0.1: fields of its :class:`Spectrogram` by now."""

    mels: NotRequired[int]
    window_seconds: NotRequired[float]
    step_seconds: NotRequired[float]
    lowest_hz: NotRequired[float]
    highest_hz: NotRequired[float | None]
    standardise: NotRequired[Literal["none", "item", "band"]]
    floor: NotRequired[float]


def with_former(spectrogram: Spectrogram, former: FormerArguments) -> Spectrogram:
    """Return a spectrogram with the fields that were given in their former place, and say so.

    Raises:
        TypeError: a name that is no field of it.
    """
    if not former:
        return spectrogram
    changed = dataclasses.replace(spectrogram, **former)
    names = ", ".join(f"{name}: {value}" for name, value in former.items())
    warnings.warn(
        f"AudioEncoder: write spectrogram: {{{names}}}; {', '.join(former)} beside it will be "
        "refused by the next version",
        FutureWarning,
        stacklevel=3,
    )
    return changed
