"""Folders of images, sounds and videos in; one embedding space, Parquet and a report out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmembed.embedding.embed import embed
    from mmembed.evaluation.evaluate import evaluate
    from mmembed.space.loading import load_space
    from mmembed.space.space import Space
    from mmembed.store.table import EmbeddingTable

__version__ = "0.1.0"
__all__ = ["EmbeddingTable", "Space", "embed", "evaluate", "load_space"]

_HOMES = {
    "EmbeddingTable": "mmembed.store.table",
    "Space": "mmembed.space.space",
    "embed": "mmembed.embedding.embed",
    "evaluate": "mmembed.evaluation.evaluate",
    "load_space": "mmembed.space.loading",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import mmembed`` is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mmembed' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
