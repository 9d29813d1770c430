"""Vocabularies: ids in ascending order, each with its place among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from typing_extensions import Self

from mmembed.errors import ConfigError
from mmembed.preprocess.asset import Asset

MOST_IDS = 16_000_000


@dataclass(frozen=True)
class Vocabulary(Asset):
    """Different ids in ascending order, none of them empty.

    It holds them as the JSON text of their list, and looks them up in a dictionary that each
    process makes once: so a million of them travel to a process as one string of bytes.

    Args:
        data: that text, in UTF-8 (lone surrogates as Python's ``surrogatepass`` writes them).
            :meth:`of` makes it of ids, and :meth:`from_bytes` checks a stranger's.
    """

    data: bytes = field(repr=False)

    @classmethod
    def of(cls, ids: Iterable[str]) -> Self:
        """Return the vocabulary of ids in any order, each as often as it comes.

        Raises:
            ConfigError: there is none, one is empty, or there are more than :data:`MOST_IDS`.
        """
        text = json.dumps(sorted(set(ids)), ensure_ascii=False)
        return cls.from_bytes(text.encode("utf-8", "surrogatepass"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the vocabulary that :meth:`to_bytes` wrote.

        Raises:
            ConfigError: it is no JSON list of ids, or they are empty, out of order or too many.
        """
        try:
            ids = json.loads(data)
        except (ValueError, RecursionError):
            ids = None
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise ConfigError("a vocabulary must be a JSON list of ids, each a text")
        if not 1 <= len(ids) <= MOST_IDS:
            raise ConfigError(
                f"a vocabulary must have 1 to {MOST_IDS:,} ids, not {len(ids):,}; buckets take more"
            )
        if not ids[0] or any(a >= b for a, b in pairwise(ids)):
            raise ConfigError("ids of a vocabulary must ascend, none of them empty or there twice")
        vocabulary = cls(data)
        vocabulary.__dict__["places"] = _places(ids)
        return vocabulary

    def to_bytes(self) -> bytes:
        """Return the JSON text of the list of ids."""
        return self.data

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each id, from 0 on."""
        return _places(json.loads(self.data))

    def __len__(self) -> int:
        return len(self.places)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data,)


def _places(ids: list[str]) -> dict[str, int]:
    return {each: place for place, each in enumerate(ids)}
