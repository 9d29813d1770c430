"""Assets: what a preprocess learnt from data and is too large for ``space.json``.

A space folder holds each in a file of its own, which is named for its content; ``space.json``
has its class and its digest, so the fingerprint covers it.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

from typing_extensions import Self

NAME_DIGITS = 16


class Asset(ABC):
    """A frozen value that a preprocess holds, such as a tokenizer; it can be hashed and pickled.

    Attributes:
        suffix: of its file, without a dot.
    """

    suffix: ClassVar[str] = "json"

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Return the content of its file; equal assets have equal bytes."""

    @classmethod
    @abstractmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the asset that :meth:`to_bytes` wrote.

        Args:
            data: of the file, possibly a stranger's.

        Raises:
            ConfigError: it holds no such asset, or one out of bounds.
        """

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its bytes, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def file_name(self) -> str:
        """The name of its file in the folder of a space."""
        return asset_file_name(self.digest, self.suffix)


def is_asset_description(value: Any) -> bool:
    """Return whether JSON data stands for an asset: by its class and its digest."""
    return isinstance(value, dict) and set(value) == {"asset", "sha256"}


def asset_file_name(digest: str, suffix: str) -> str:
    """Return the name of an asset's file in the folder of a space."""
    return f"asset-{digest[:NAME_DIGITS]}.{suffix}"
