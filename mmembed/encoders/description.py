"""Descriptions of encoders and preprocesses in JSON: made of them, and built from them.

A description may come from a stranger's ``space.json``. Building one runs and imports nothing but
mmembed and the packages that the user trusts, and neither fetches nor opens anything: weights
come from the space's own file. (A config of ``mmembed fit`` is another matter: it may name any
class.)
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Collection
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmembed.encoders.assets import AssetReader, build_asset, describe_asset
from mmembed.encoders.base import Encoder
from mmembed.encoders.model_arguments import checked_model_arguments, lasting_model_arguments
from mmembed.encoders.spectrogram import Spectrogram
from mmembed.encoders.token_bodies import TokenBody
from mmembed.errors import SpaceError
from mmembed.errors.plain_text import brief, one_line
from mmembed.preprocess.asset import Asset, is_asset_description
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.category import MOST_BUCKETS

# The classes that a description may name, by stable names: these are part of every fingerprint,
# and stay as they are wherever the classes live.
CLASSES = {
    "mmembed.encoders.image.ImageEncoder": "mmembed.encoders.image.ImageEncoder",
    "mmembed.encoders.audio.AudioEncoder": "mmembed.encoders.audio.AudioEncoder",
    "mmembed.encoders.video.VideoEncoder": "mmembed.encoders.video.VideoEncoder",
    "mmembed.encoders.text.TextEncoder": "mmembed.encoders.text.TextEncoder",
    "mmembed.encoders.category.CategoryEncoder": "mmembed.encoders.category.CategoryEncoder",
    "mmembed.data.preprocess.ImagePreprocess": "mmembed.preprocess.image.ImagePreprocess",
    "mmembed.data.preprocess.AudioPreprocess": "mmembed.preprocess.audio.AudioPreprocess",
    "mmembed.data.preprocess.VideoPreprocess": "mmembed.preprocess.video.VideoPreprocess",
    "mmembed.preprocess.category.CategoryPreprocess": (
        "mmembed.preprocess.category.CategoryPreprocess"
    ),
    "mmembed.preprocess.text.TextPreprocess": "mmembed.preprocess.text.TextPreprocess",
}
NAMES = {path: name for name, path in CLASSES.items()}
# Arguments whose fields a description holds beside the others.
GROUPS: dict[str, tuple[str, type]] = {
    "mmembed.encoders.audio.AudioEncoder": ("spectrogram", Spectrogram),
    "mmembed.encoders.text.TextEncoder": ("body", TokenBody),
}
LARGEST_WHOLE = 1 << 20
LARGER_WHOLES = {"buckets": MOST_BUCKETS}  # by argument
LARGEST_NUMBER = 1e9
LONGEST_TEXT = 1000
DEEPEST = 16
MODEL_NAME = re.compile(r"[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_]{1,100})?")


def describe(part: Any) -> Any:
    """Return ``part`` (an encoder, a preprocess, or plain values) as JSON-ready data.

    Weights are saved apart, so ``pretrained`` is described as false, and arguments of a timm
    model that say where its first weights came from are left out.
    """
    if isinstance(part, Asset):
        return describe_asset(part)
    if isinstance(part, Encoder):
        arguments = _spread(part, dict(part._arguments))
        if "preprocess" in arguments:
            arguments["preprocess"] = part.preprocess
        if "pretrained" in arguments:
            arguments["pretrained"] = False
        if isinstance(arguments.get("model_args"), dict):
            arguments["model_args"] = lasting_model_arguments(arguments["model_args"])
        return {"class_path": _class_path(part), "init_args": describe(arguments)}
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {
            each.name: getattr(part, each.name)
            for each in dataclasses.fields(part)
            if not each.metadata.get("left_out_if_usual")
            or getattr(part, each.name) != each.default
        }
        return {"class_path": _class_path(part), "init_args": describe(fields)}
    if isinstance(part, dict):
        return {str(key): describe(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [describe(value) for value in part]
    if isinstance(part, Path):
        return str(part)
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    raise SpaceError(f"{type(part).__name__}: an encoder's argument of this type can't be saved")


def build(
    description: Any,
    where: str = "description",
    trust: Collection[str] = (),
    levels: int = DEEPEST,
    assets: AssetReader | None = None,
) -> Any:
    """Build the encoder or preprocess that :func:`describe` described.

    Args:
        description: JSON data, possibly a stranger's.
        where: names it in errors.
        trust: packages beside mmembed whose classes may be imported and called.
        levels: how deep it may be nested.
        assets: gives what it names by class and digest; None if it names none.

    Raises:
        SpaceError: not a description; a class that is not mmembed's own and not of a trusted
            package, is missing, or is neither an encoder nor a preprocess; an argument that the
            class does not take, or of a wrong type or range; an asset that is not there.
    """
    if not (_is_description(description) and isinstance(description["init_args"], dict)):
        raise SpaceError(f"{where}: must have class_path and init_args, not {brief(description)}")
    path = description["class_path"]
    kind = _class_of(path, f"{where}.class_path", trust)
    given = _arguments(description["init_args"], where, trust, levels, assets)
    if path in CLASSES:
        given = _grouped(path, given, where)
        _check_types(kind, given, where)
    try:
        inspect.signature(kind.__init__).bind(None, **given)
    except TypeError as error:
        reason = one_line(error)
        raise SpaceError(f"{where}: class {path} refuses the saved arguments: {reason}") from None
    return _made(kind, given, f"{where}: {path}")


def is_own(description: Any) -> bool:
    """Return whether a description, parts of it included, names mmembed's own classes alone."""
    left = [description]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            path = part.get("class_path", next(iter(CLASSES)))
            if not (isinstance(path, str) and path in CLASSES):
                return False
            left += part.values()
        elif isinstance(part, list):
            left += part
    return True


def _is_description(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"class_path", "init_args"}


def _made(kind: type, given: dict[str, Any], what: str) -> Any:
    try:
        return kind(**given)
    except Exception as error:  # arguments of a stranger's choice: anything may come of them
        raise SpaceError(f"{what} can't be built: {one_line(error)}") from None


def _arguments(
    given: dict[str, Any],
    where: str,
    trust: Collection[str],
    levels: int,
    assets: AssetReader | None,
) -> dict[str, Any]:
    """Return arguments by name with descriptions inside them built, and nothing pretrained."""
    built: dict[str, Any] = {}
    for name, value in given.items():
        at = f"{where}.{name}" if name.isidentifier() else f"{where}[{brief(name)}]"
        if name == "pretrained":
            built[name] = False
        elif name == "model_args" and isinstance(value, dict):
            built[name] = checked_model_arguments(value, at)
        else:
            built[name] = _argument(value, at, trust, levels - 1, assets)
    return built


def _argument(
    value: Any, where: str, trust: Collection[str], levels: int, assets: AssetReader | None
) -> Any:
    if levels < 0:
        raise SpaceError(f"{where}: is nested too deep")
    if _is_description(value):
        return build(value, where, trust, levels, assets)
    if is_asset_description(value):
        return build_asset(value, where, assets)
    if isinstance(value, dict):
        return _arguments(value, where, trust, levels, assets)
    if isinstance(value, list):
        rest = trust, levels - 1, assets
        return [_argument(each, f"{where}[{i}]", *rest) for i, each in enumerate(value)]
    return value


def _class_of(path: Any, where: str, trust: Collection[str]) -> type[Encoder] | type[Preprocess]:
    """Return a class by its path; a module is imported only if its package is trusted."""
    if not (isinstance(path, str) and all(name.isidentifier() for name in path.split("."))):
        raise SpaceError(f"{where}: {brief(path)} is not the path of a class")
    if path in CLASSES:
        module, _, name = CLASSES[path].rpartition(".")
        return getattr(importlib.import_module(module), name)
    package, (module, _, name) = path.partition(".")[0], path.rpartition(".")
    if package == "mmembed":
        raise SpaceError(f"{where}: {path} is neither an Encoder nor a Preprocess of mmembed")
    if not any(f"{module}.".startswith(f"{trusted}.") for trusted in trust):
        raise SpaceError(
            f"{where}: {path} is not mmembed's own, and a class is code that runs. If you know "
            f"package {package}, trust it by its name",
            advice=f"trust={package}",
        )
    try:
        kind = getattr(importlib.import_module(module), name)
    except Exception as error:  # a package may do anything while it is imported
        raise SpaceError(f"{where}: {path} can't be imported: {one_line(error)}") from None
    if not (isinstance(kind, type) and issubclass(kind, (Encoder, Preprocess))):
        raise SpaceError(f"{where}: {path} is neither an Encoder nor a Preprocess")
    if f"{kind.__module__}.{kind.__qualname__}" != path:
        raise SpaceError(f"{where}: {path} is not defined there, but in {kind.__module__}")
    return kind


def _class_path(part: object) -> str:
    path = f"{type(part).__module__}.{type(part).__qualname__}"
    return NAMES.get(path, path)


def _spread(part: Encoder, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return an encoder's arguments with the fields of a group in the group's place."""
    group, _ = GROUPS.get(_class_path(part), (None, None))
    spread: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == group:
            spread |= dataclasses.asdict(getattr(part, name))
        else:
            spread[name] = value
    return spread


def _grouped(path: str, given: dict[str, Any], where: str) -> dict[str, Any]:
    """Return arguments of a description with the fields of a group made one argument."""
    if path not in GROUPS:
        return given
    group, kind = GROUPS[path]
    fields = {field.name for field in dataclasses.fields(kind)}
    members = {name: value for name, value in given.items() if name in fields}
    others = {name: value for name, value in given.items() if name not in fields}
    if group in others:
        raise SpaceError(f"{where}: refuses the saved arguments: {group} is not written as one")
    _check_types(kind, members, where)
    return {**others, group: _made(kind, members, f"{where}: {kind.__name__}")}


def _check_types(kind: type, given: dict[str, Any], where: str) -> None:
    hints = get_type_hints(kind.__init__)  # type: ignore[misc]
    parameters = inspect.signature(kind).parameters
    for name, value in given.items():
        parameter = parameters.get(name)
        if parameter is None or parameter.kind is parameter.VAR_KEYWORD:
            raise SpaceError(f"{where}: refuses the saved arguments: it takes no {brief(name)}")
        if not _fits(value, hints[name], LARGER_WHOLES.get(name, LARGEST_WHOLE)):
            raise SpaceError(f"{where}.{name}: must be {parameter.annotation}, not {brief(value)}")


def _fits(value: Any, hint: Any, largest_whole: int = LARGEST_WHOLE) -> bool:
    """Return whether a value is of a type that a class of this package asks for, in its range."""
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option, largest_whole) for option in options)
    if origin is Literal:
        return isinstance(value, str) and value in options
    if origin is tuple and Ellipsis not in options:  # of a name and a text for people
        texts = isinstance(value, list) and len(value) == len(options)
        return texts and all(isinstance(t, str) and len(t) <= LONGEST_TEXT for t in value)
    if origin is tuple:
        return isinstance(value, list) and all(_fits(each, options[0]) for each in value)
    if hint is str:
        return isinstance(value, str) and (not value or MODEL_NAME.fullmatch(value) is not None)
    if hint is int:
        return type(value) is int and abs(value) <= largest_whole
    if hint is float:
        return type(value) in (int, float) and abs(value) <= LARGEST_NUMBER
    if hint in (bool, NoneType):
        return type(value) is hint
    return isinstance(value, origin or hint)
