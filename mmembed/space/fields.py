"""Fields of a space: their names, and the kind of media that each takes."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmembed.encoders.base import Encoder
from mmembed.errors import ConfigError
from mmembed.modality import MODALITIES, Modality
from mmembed.space.space_json import FIELD


def check_field(field: str, encoder: Encoder) -> None:
    """Check the name of a field against its encoder.

    Raises:
        ConfigError: torch can't call a module so, or the encoder takes no modality or another
            than the field is named for.
    """
    kind = encoder.preprocess.modality
    if kind not in MODALITIES:
        raise ConfigError(
            f"space.encoders.{field}: {kind} is no modality; choose from {', '.join(MODALITIES)}"
        )
    if field in MODALITIES and field != kind:
        raise ConfigError(f"space.encoders.{field}: {type(encoder).__name__} takes {kind}")
    if FIELD.fullmatch(field) is None or hasattr(nn.ModuleDict(), field):
        raise ConfigError(
            f"space.encoders: {field} can't be the name of a field: take letters, digits and _, "
            "and no word of torch's such as type"
        )


def kinds_of(encoders: Any) -> dict[str, Modality]:
    """Return the kind of each field, in the order of :mod:`mmembed.modality`.

    Args:
        encoders: by field, a mapping or a ``ModuleDict``.
    """
    kinds = {field: encoder.preprocess.modality for field, encoder in encoders.items()}
    return dict(sorted(kinds.items(), key=lambda pair: MODALITIES.index(pair[1])))
