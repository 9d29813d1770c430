"""The folder of a space, loaded: the one door for Python, commands, mteb and Ray workers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mmembed.encoders.assets import AssetReader, asset_class
from mmembed.encoders.description import build, is_own
from mmembed.encoders.size_limit import sketch
from mmembed.encoders.weights import check_shapes, first_not_finite, load_weights, shapes_of
from mmembed.errors import ConfigError, MmembedError, SpaceError
from mmembed.errors.plain_text import one_line
from mmembed.preprocess.asset import Asset, asset_file_name
from mmembed.space.fingerprint import fingerprint
from mmembed.space.saving import FINITE_ADVICE
from mmembed.space.space import Space
from mmembed.space.space_json import (
    CARD,
    DESCRIBED,
    WEIGHTS,
    read_card,
    space_file,
    trusted_packages,
)

MOST_ASSET_BYTES = 1 << 26


def load_space(
    folder: str | Path, device: str | torch.device = "cpu", trust: str | Iterable[str] | None = None
) -> Space:
    """Load a space from the folder that :meth:`Space.save` wrote, in evaluation mode.

    A stranger's space does no harm: nothing of it runs, nothing is fetched, and no file but its
    own is opened. Its classes are mmembed's own or of packages in ``trust``; the model is no
    larger than its weights, unless a class of such a package takes part.

    Args:
        folder: of the space.
        device: where its weights go: ``cpu``, ``cuda``, ``cuda:1`` …; ``auto`` is a GPU if there
            is one.
        trust: packages beside mmembed whose encoders the space may name, one by one or with
            commas between. Their code runs, with arguments of the space's choice.

    Raises:
        SpaceError: the folder is no space, is of another version, names a class that is not
            trusted, its two files do not belong together, or a weight is not finite.
        ConfigError: there is no such device, or ``trust`` holds something else than names of
            packages.
    """
    device = usable_device(device)
    packages = trusted_packages(trust)
    card = read_card(folder, packages)
    path = space_file(folder, WEIGHTS)
    assets = _asset_reader(folder)

    def make() -> Space:
        parts = card["encoders"].items()
        encoders = {
            field: build(d, f"encoders.{field}", packages, assets=assets) for field, d in parts
        }
        rest = (card[key] for key in ("dim", "hidden", "dropout", "name", "licence"))
        return Space(encoders, *rest)

    with _faults_of(f"{folder}/{WEIGHTS}"):
        shapes = shapes_of(path)
    with _faults_of(f"{folder}/{CARD}"):
        if is_own(card["encoders"]):
            model = sketch(make, len(shapes), path.stat().st_size)
            check_shapes(model, shapes)
        space = make()
        if space.fields != card["fields"]:
            raise SpaceError(f"fields are {card['fields']}, but its encoders take {space.fields}")
    with _faults_of(f"{folder}/{WEIGHTS}"):
        load_weights(space, path)
    broken = first_not_finite(space.state_dict())
    if broken is not None:
        raise SpaceError(f"{folder}/{WEIGHTS}: {broken} holds NaN or infinity. {FINITE_ADVICE}")
    made = fingerprint({key: card[key] for key in DESCRIBED}, space.state_dict())
    if made != card["fingerprint"]:
        raise SpaceError(
            f"{folder}: model.safetensors and space.json do not belong together (fingerprint "
            f"{made} instead of {card['fingerprint']}). Save the space again."
        )
    return space.to(device).eval()


def _asset_reader(folder: str | Path) -> AssetReader:
    """Return what reads the assets of a space's folder, each once."""

    @functools.cache
    def read(name: str, digest: str) -> Asset:
        kind = asset_class(name)
        path = space_file(folder, asset_file_name(digest, kind.suffix))
        if path.stat().st_size > MOST_ASSET_BYTES:
            raise SpaceError(f"{path.name} is larger than {MOST_ASSET_BYTES:,} bytes")
        return kind.from_bytes(path.read_bytes())

    return read


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device that a user means; ``auto`` is a GPU if there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(one_line(error), "device", device) from None


@contextmanager
def _faults_of(file: str) -> Iterator[None]:
    """Name the file in whatever goes wrong over it: a stranger's may bring about any error."""
    try:
        yield
    except Exception as error:
        text = error if isinstance(error, MmembedError) else f"can't be read: {one_line(error)}"
        raise SpaceError(f"{file}: {text}", advice=getattr(error, "advice", "")) from None
