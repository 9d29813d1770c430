"""The device that a model runs on."""

from __future__ import annotations

import torch

from mmembed.errors import ConfigError
from mmembed.errors.plain_text import one_line


def usable_device(name: str) -> str:
    """Return the device that a user means; ``auto`` is a GPU if there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(one_line(error), "device", name) from None
    return name
