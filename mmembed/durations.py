"""Durations as people write them: ``10``, ``10s``, ``500ms``, ``1.5min``, ``2h``; and read them."""

from __future__ import annotations

import re

UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(value: str | float) -> float:
    """Return a duration in seconds.

    Args:
        value: a number of seconds, or text with a unit.

    Raises:
        ValueError: not a duration, or not positive.
    """
    parts = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", str(value).lower())
    if not parts or parts[2] not in UNITS or not 0 < float(parts[1]) < float("inf"):
        raise ValueError("give a duration, such as 10s, 500ms, 1.5min or 2h")
    return float(parts[1]) * UNITS[parts[2]]


def readable(seconds: float) -> str:
    """Return a duration in its own unit: ``8.5 s``, ``42 s``, ``12.5 min``, ``3.2 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
