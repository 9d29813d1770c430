"""Durations as people write them: ``10``, ``10s``, ``500ms``, ``1.5min``, ``2h``."""

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
