"""Preprocesses that learn from training data, and their plain state in a checkpoint.

A checkpoint is loaded without unpickling objects, so what a preprocess learnt is kept in it as
bytes, numbers and texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from mmembed.errors import ConfigError
from mmembed.preprocess.asset import Asset
from mmembed.preprocess.base import Preprocess

PLAIN = (bool, int, float, str, bytes)
State = dict[str, Any]


def learnt_state(before: Preprocess, fitted: Preprocess) -> State:
    """Return what a preprocess learnt, by the name of its argument: assets as their bytes.

    Raises:
        ConfigError: something that is neither an asset nor plain values.
    """
    state = {}
    for name in _arguments(fitted):
        value = getattr(fitted, name)
        if value == getattr(before, name):
            continue
        if not (isinstance(value, Asset) or _is_plain(value)):
            raise ConfigError(
                f"{type(fitted).__name__}.{name}: learnt a {type(value).__name__}, which a "
                "checkpoint can't hold; learn plain values or an Asset"
            )
        state[name] = value.to_bytes() if isinstance(value, Asset) else value
    return state


def with_state(preprocess: Preprocess, state: State) -> Preprocess:
    """Return a preprocess with what :func:`learnt_state` kept of another of its class.

    Raises:
        ConfigError: it takes no such argument, or the bytes are of no such asset.
    """
    if not state:
        return preprocess
    hints = get_type_hints(type(preprocess))
    values = {}
    for name, value in state.items():
        if name not in _arguments(preprocess):
            raise ConfigError(
                f"{type(preprocess).__name__}: the checkpoint holds its {name}, which it does not "
                "take; the checkpoint is of another model than the config"
            )
        kinds = [k for k in (hints[name], *get_args(hints[name])) if _is_asset(k)]
        is_asset = bool(kinds) and isinstance(value, bytes)
        values[name] = kinds[0].from_bytes(value) if is_asset else value
    return dataclasses.replace(preprocess, **values)  # type: ignore[type-var]


def _arguments(preprocess: Preprocess) -> Iterator[str]:
    fields = dataclasses.fields(preprocess)  # type: ignore[arg-type]
    return (field.name for field in fields if field.init)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in PLAIN


def _is_asset(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Asset)
