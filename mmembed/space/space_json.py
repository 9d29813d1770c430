"""``space.json``: the card of a space, to be read without torch or any weights.

A space may come from a stranger, so nothing it says is believed: its files are regular ones
inside its folder, and all that is used of the card has the right type and range.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from mmembed.errors import ConfigError, SpaceError
from mmembed.errors.plain_text import brief, one_line
from mmembed.modality import Modality, kinds
from mmembed.preprocess.asset import Asset, asset_file_name, is_asset_description

FORMAT = 1
CARD = "space.json"
WEIGHTS = "model.safetensors"
DESCRIBED = ("encoders", "dim", "hidden", "dropout")  # what the fingerprint is made of
FIELD = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
CARD_BYTES = 16 << 20
LARGEST_WIDTH = 1 << 16
Precision = Literal["fp32", "bf16"]


def space_file(folder: str | Path, name: str) -> Path:
    """Return the path of a file of a space: a regular one, in the folder, all links resolved.

    The folder itself may be reached through links: the user chose it. A file in it may be a link
    inside the folder, or from a snapshot of a Hugging Face cache to the ``blobs`` beside the
    snapshots; a link to any other place is refused.

    Args:
        folder: of the space.
        name: :data:`CARD` or :data:`WEIGHTS`.

    Raises:
        SpaceError: no such folder or file, no regular file, or a link that leads elsewhere.
    """
    try:
        home = Path(os.path.realpath(folder))
        path = Path(os.path.realpath(home / name))
        if not stat.S_ISDIR(os.stat(home).st_mode):
            raise NotADirectoryError
        os.lstat(home / name)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.isdir(folder):
            raise SpaceError(
                f"{folder}: no such space (a folder with space.json is needed)"
            ) from None
        raise SpaceError(f"{folder}: not a space, it has no {name}") from None
    except (OSError, ValueError) as error:
        raise SpaceError(f"{folder}/{name}: can't be read: {one_line(error)}") from None
    is_snapshot = home.parent.name == "snapshots" and path.parent == home.parent.parent / "blobs"
    if not (path.is_relative_to(home) or is_snapshot):
        raise SpaceError(f"{folder}/{name}: is a link that leads out of the space's folder")
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError) as error:
        raise SpaceError(f"{folder}/{name}: can't be read: {one_line(error)}") from None
    if not regular:
        raise SpaceError(f"{folder}/{name}: is no regular file")
    return path


def read_card(folder: str | Path, trust: Iterable[str] = ()) -> dict[str, Any]:
    """Return what ``space.json`` in ``folder`` says, without loading any weights.

    All that says how a vector is made is checked for type and range, but for the encoders' own
    arguments: these are checked when they are built. A card without ``fields`` has one a modality,
    of its name.

    Args:
        folder: of the space.
        trust: packages whose modules of preprocesses are imported, for the modalities that they
            register.

    Raises:
        SpaceError: no such folder, no ``space.json`` in it, one of another format, or one that
            lacks a key or has a wrong value.
    """
    path = space_file(folder, CARD)
    said = f"{folder}/{CARD}"
    try:
        if path.stat().st_size > CARD_BYTES:
            raise ValueError(f"more than {CARD_BYTES >> 20} MiB are no card")
        card = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise SpaceError(f"{said}: can't be read: {one_line(error)}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        from importlib.metadata import version

        given = brief(card.get("format")) if isinstance(card, dict) else None
        raise SpaceError(
            f"{said}: format {given} is not the format {FORMAT} that mmembed "
            f"{version('mmembed')} reads. Load it with the version that wrote it, or train anew."
        )
    for key, (wanted, fits) in KEYS.items():
        if key not in card:
            raise SpaceError(f"{said}: has no {key!r}")
        if not fits(card[key]):
            raise SpaceError(f"{said}: {key} must be {wanted}, not {brief(card[key])}")
    fields = card.setdefault("fields", {field: field for field in card["encoders"]})
    if not (isinstance(fields, dict) and fields.keys() == card["encoders"].keys()):
        raise SpaceError(f"{said}: fields and encoders differ")
    _import_kinds(card["encoders"], tuple(trust), said)
    for field, kind in fields.items():
        if not isinstance(kind, str) or kind not in kinds():
            package = _package_of(card["encoders"][field])
            raise SpaceError(
                f"{said}: fields.{brief(field)} must be one of {', '.join(kinds())}, or of a "
                "package that you trust",
                advice=f"trust={package}" if package else "",
            )
    if sorted(card["modalities"]) != sorted(set(fields.values())):
        raise SpaceError(f"{said}: modalities and encoders differ")
    return card


def asset_files(description: Any) -> list[str]:
    """Return the names of the files of the assets that a description names."""
    if isinstance(description, dict):
        digest = description.get("sha256")
        if is_asset_description(description) and isinstance(digest, str):
            return [asset_file_name(digest, Asset.suffix)]
        return [name for part in description.values() for name in asset_files(part)]
    return []


def trusted_packages(trust: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of packages, given one by one or as text with commas between.

    Raises:
        ConfigError: not the name of a package.
    """
    words = trust.split(",") if isinstance(trust, str) else list(trust or ())
    names = tuple(word.strip() for word in words)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError("give the name of a package, such as mypackage", "trust", name)
    return names


def chosen_fields(fields: Mapping[str, Modality], field: str | None) -> dict[str, Modality]:
    """Return the fields that embed, if of those of one kind only ``field`` is wanted.

    Raises:
        ConfigError: there is no such field.
    """
    if field is None:
        return dict(fields)
    if field not in fields:
        raise ConfigError(f"the space has {', '.join(fields)}", "field", field)
    return {name: kind for name, kind in fields.items() if kind != fields[field] or name == field}


def _package_of(description: Any) -> str:
    """Return the package of an encoder's class; empty if it is mmembed's own or no name."""
    path = description.get("class_path") if isinstance(description, dict) else None
    package = str(path).partition(".")[0]
    return package if package.isidentifier() and package not in ("mmembed", "None") else ""


def _import_kinds(description: Any, trust: tuple[str, ...], said: str) -> None:
    """Import the modules of preprocesses of trusted packages that a description names."""
    if not trust or not isinstance(description, dict):
        return
    path = (description.get("preprocess") or {}) if "preprocess" in description else {}
    module = str(path.get("class_path", "")).rpartition(".")[0] if isinstance(path, dict) else ""
    if any(f"{module}.".startswith(f"{package}.") for package in trust):
        try:
            importlib.import_module(module)
        except Exception as error:  # a package may do anything while it is imported
            raise SpaceError(f"{said}: {module} can't be imported: {one_line(error)}") from None
    for part in description.values():
        _import_kinds(part, trust, said)


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= LARGEST_WIDTH


def _text(value: Any) -> bool:
    return isinstance(value, str)


KEYS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("text", _text),
    "licence": ("text", _text),
    "fingerprint": (
        "32 hexadecimal digits",
        lambda value: _text(value) and re.fullmatch("[0-9a-f]{32}", value) is not None,
    ),
    "dim": (f"a whole number from 1 to {LARGEST_WIDTH:,}", _whole(1)),
    "hidden": (
        f"a whole number from 0 to {LARGEST_WIDTH:,}, null, or that for each field",
        lambda value: all(
            width is None or _whole(0)(width)
            for width in (value.values() if isinstance(value, dict) else [value])
        ),
    ),
    "dropout": (
        "a number from 0 to 1",
        lambda value: type(value) in (int, float) and 0 <= value <= 1,
    ),
    "encoders": (
        "an encoder for each field",
        lambda value: isinstance(value, dict) and bool(value) and all(map(FIELD.fullmatch, value)),
    ),
    "modalities": (
        "the list of what the encoders take",
        lambda value: isinstance(value, list) and all(map(_text, value)),
    ),
}
