"""Fields of a space: their names, the kind of items that each takes, and which of them to use."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, TypedDict

from torch import nn

from mmembed.encoders.base import Encoder
from mmembed.errors import ConfigError
from mmembed.modality import Modality, kind_named, kinds, position
from mmembed.preprocess.base import Preprocess
from mmembed.space.space_json import FIELD


def check_field(field: str, encoder: Encoder) -> None:
    """Check the name of a field against its encoder.

    Raises:
        ConfigError: torch can't call a module so, or the encoder takes no modality or another
            than the field is named for.
    """
    kind = encoder.preprocess.modality
    if kind not in kinds():
        raise ConfigError(
            f"space.encoders.{field}: {kind} is no modality; choose from {', '.join(kinds())}"
        )
    if field in kinds() and field != kind:
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
    each = {field: encoder.preprocess.modality for field, encoder in encoders.items()}
    return dict(sorted(each.items(), key=lambda pair: position(pair[1])))


class FormerArguments(TypedDict, total=False):
    """Arguments of ``Space.encode`` that have another name now."""

    modality: str | None


def renamed(field: str | None, former: FormerArguments) -> str | None:
    """Return the field that is meant, and warn where it is given under its former name."""
    if former.get("modality") is None:
        return field
    warnings.warn("Space.encode: modality is called field now", DeprecationWarning, stacklevel=3)
    return former["modality"]


def kind_in_cells(fields: Mapping[str, Modality], field: str | None) -> Modality | None:
    """Return the kind that inputs are of, if it is one of texts or ids; None if paths may be meant.

    Args:
        fields: the kind of each field of a space.
        field: that takes the inputs; None if any may.
    """
    taken = set(fields.values()) if field is None else {fields[field]}
    kind = next(iter(taken)) if len(taken) == 1 else None
    return kind if kind is not None and kind_named(kind).in_cells else None


def prompted_fields(
    preprocess: Mapping[str, Preprocess], prompt: str | None
) -> dict[str, Preprocess]:
    """Return the preprocess of each field, with the prompt of that name in those that have it.

    Raises:
        ConfigError: none has it.
    """
    having = [f for f, each in preprocess.items() if prompt in dict(getattr(each, "prompts", ()))]
    if prompt is not None and not having:
        fields = ", ".join(preprocess)
        raise ConfigError(f"no field has such a prompt (fields: {fields})", "prompt", prompt)
    return {
        field: dataclasses.replace(each, prompt=prompt) if field in having else each  # type: ignore
        for field, each in preprocess.items()
    }
