"""Assets in descriptions: a class and a digest there, the content in a file beside.

``{"asset": "Tokenizer", "sha256": "…"}`` stands for a value of a preprocess that is too large for
``space.json`` (:mod:`mmembed.preprocess.asset`).
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from typing import Any

from mmembed.encoders.base import Encoder
from mmembed.errors import SpaceError
from mmembed.errors.plain_text import brief, one_line
from mmembed.preprocess.asset import Asset

# The classes of assets by stable names, which are part of fingerprints.
ASSETS = {
    "Tokenizer": "mmembed.preprocess.tokenizer.Tokenizer",
    "Vocabulary": "mmembed.preprocess.vocabulary.Vocabulary",
}
SHA256 = re.compile("[0-9a-f]{64}")
AssetReader = Callable[[str, str], Asset]
"""Gives an asset by the name of its class, one of :data:`ASSETS`, and its digest."""


def describe_asset(asset: Asset) -> dict[str, str]:
    """Return the description of an asset.

    Raises:
        SpaceError: its class has no stable name.
    """
    path = f"{type(asset).__module__}.{type(asset).__qualname__}"
    for name, known in ASSETS.items():
        if known == path:
            return {"asset": name, "sha256": asset.digest}
    raise SpaceError(f"{path}: assets of this class can't be saved")


def asset_class(name: str) -> type[Asset]:
    """Return the class of an asset by its stable name.

    Raises:
        SpaceError: there is no class of that name.
    """
    if name not in ASSETS:
        raise SpaceError(f"{brief(name)} is no asset; there are {', '.join(ASSETS)}")
    module, _, kind = ASSETS[name].rpartition(".")
    return getattr(importlib.import_module(module), kind)


def build_asset(description: dict[str, Any], where: str, assets: AssetReader | None) -> Asset:
    """Return the asset that a description stands for.

    Args:
        description: of an asset, possibly a stranger's.
        where: names it in errors.
        assets: gives the asset, which is compared with the description; None if there are none.

    Raises:
        SpaceError: of no known class, no digest, or not there; or ``assets`` gives another one.
    """
    name, digest = description["asset"], description["sha256"]
    if not (isinstance(name, str) and name in ASSETS):
        raise SpaceError(f"{where}.asset: {brief(name)} is none of {', '.join(ASSETS)}")
    if not (isinstance(digest, str) and SHA256.fullmatch(digest)):
        raise SpaceError(f"{where}.sha256: {brief(digest)} is no SHA-256")
    if assets is None:
        raise SpaceError(f"{where}: its {name} is not here; load the folder of the space")
    try:
        asset = assets(name, digest)
    except Exception as error:  # a stranger's file: anything may come of it
        raise SpaceError(f"{where}: {name} can't be read: {one_line(error)}") from None
    if not isinstance(asset, asset_class(name)) or asset.digest != digest:
        raise SpaceError(f"{where}: {name} is not the one of the description (by its SHA-256)")
    return asset


def assets_of(part: Any) -> dict[str, Asset]:
    """Return the assets that the description of a part names, by digest.

    Args:
        part: an encoder, a preprocess, or plain values of them, such as a mapping of encoders.
    """
    if isinstance(part, Asset):
        return {part.digest: part}
    inside: list[Any] = []
    if isinstance(part, Encoder):
        inside = [*part._arguments.values(), part.preprocess]
    elif dataclasses.is_dataclass(part):
        inside = [getattr(part, field.name) for field in dataclasses.fields(part)]
    elif isinstance(part, dict):
        inside = list(part.values())
    elif isinstance(part, (list, tuple)):
        inside = list(part)
    return {digest: asset for each in inside for digest, asset in assets_of(each).items()}
