"""``space.json``: what a space says of itself; to be read without torch or any weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from mmembed.errors import SpaceError

FORMAT = 1
Precision = Literal["fp32", "bf16"]


def read_card(folder: str | Path) -> dict[str, Any]:
    """Return what ``space.json`` in ``folder`` says, without loading any weights.

    Raises:
        SpaceError: no such folder, no ``space.json`` in it, or one of another format.
    """
    path = Path(folder) / "space.json"
    if not Path(folder).is_dir():
        raise SpaceError(f"{folder}: no such space (a folder with space.json is needed)")
    try:
        card = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SpaceError(f"{folder}: not a space, it has no space.json") from None
    except (ValueError, OSError) as error:
        raise SpaceError(f"{path}: can't be read: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        from importlib.metadata import version

        found = card.get("format") if isinstance(card, dict) else None
        raise SpaceError(
            f"{path}: format {found} is not the format {FORMAT} that mmembed "
            f"{version('mmembed')} reads. Load it with the version that wrote it, or train anew."
        )
    return card
