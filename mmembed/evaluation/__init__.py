"""Evaluation from Parquet alone: retrieval, classification, geometry, and a report.

It needs neither a space nor torch, and works on a machine that never saw the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmembed.evaluation.judge import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    """Import :func:`evaluate` when it is first used: metrics alone need no charts."""
    if name != "evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mmembed.evaluation.judge import evaluate

    return evaluate
