"""The folder of a space, written: ``model.safetensors``, ``space.json``, and files of assets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from mmembed.encoders.weights import first_not_finite, save_weights
from mmembed.errors import SpaceError
from mmembed.preprocess.asset import Asset
from mmembed.space.fingerprint import fingerprint
from mmembed.space.space_json import CARD, FORMAT, WEIGHTS
from mmembed.store.whole_file import write_whole

FINITE_ADVICE = "Train with a lower model.optimizer.lr, or in fp32 (trainer.precision: 32-true)."


def save_space(
    folder: Path,
    name: str,
    licence: str,
    fields: Mapping[str, str],
    description: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    training: Mapping[str, Any],
    assets: Iterable[Asset] = (),
) -> None:
    """Write the files of a space, each whole or not at all.

    Args:
        folder: made if need be; a space already there is replaced, file by file.
        name: of the space.
        licence: of its weights.
        fields: the kind of each field; kept where a field is not named for it.
        description: the arguments that build the space, by stable names.
        weights: tensors on any device, by name.
        training: what the space was trained on and how.
        assets: that the description names, such as tokenizers.

    Raises:
        SpaceError: a weight or buffer is not finite. What is in ``folder`` stays as it is.
        StoreError: the disk is full, or ``folder`` can't be written to.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    broken = first_not_finite(plain)
    if broken is not None:
        raise SpaceError(
            f"{folder}: not saved, since {broken} holds NaN or infinity. {FINITE_ADVICE}"
        )
    named = any(field != kind for field, kind in fields.items())
    card = {
        "format": FORMAT,
        "name": name,
        "fingerprint": fingerprint(description, weights),
        "metric": "cosine",
        "modalities": list(dict.fromkeys(fields.values())),
        **({"fields": dict(fields)} if named else {}),
        **description,
        "licence": licence,
        "versions": {p: version(p) for p in ("mmembed", "torch", "timm", "torchaudio")},
        "training": dict(training),
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    contents = {asset.file_name: asset.to_bytes() for asset in assets}
    for file_name, content in contents.items():
        write_whole(folder / file_name, partial(Path.write_bytes, data=content))
    write_whole(folder / WEIGHTS, lambda path: save_weights(plain, path))
    write_whole(folder / CARD, lambda path: path.write_text(text, "utf-8"))
    for path in folder.glob("asset-*.json"):
        if path.name not in contents:  # of the space that was here before
            path.unlink(missing_ok=True)
