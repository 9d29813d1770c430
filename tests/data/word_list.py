"""A preprocess of texts that learns the words of its training items, small enough to see through.

It stands for any preprocess of cells that a package may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mmembed.errors import MediaError
from mmembed.media.file import opened
from mmembed.media.probe import MediaInfo, Source, probe
from mmembed.media.spans import AnySpan, TextSpan
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.vocabulary import Vocabulary


@dataclass(frozen=True)
class WordPreprocess(Preprocess):
    """A text to the numbers of its words, int64 ``(words,)``; 1 is a word that was not learnt."""

    modality: ClassVar[str] = "text"

    known: Vocabulary | None = None
    segment_words: int = 0

    @property
    def is_fitted(self) -> bool:  # type: ignore[override]
        return self.known is not None

    def fitted(self, items: Iterable[str]) -> WordPreprocess:
        if self.known is not None:
            return self
        return replace(self, known=Vocabulary.of(word for item in items for word in item.split()))

    def learnt(self) -> str:
        return f"{len(self.known or ())} words"

    def length(self, info: MediaInfo, span: AnySpan | None) -> int:
        return len((info.text or "").split())

    def padded_length(self, length: int) -> int:
        return -(-length // 4) * 4

    def spans(self, info: MediaInfo) -> list[AnySpan | None]:
        words = list(re.finditer(r"\S+", info.text or ""))
        size = self.segment_words or len(words)
        if len(words) <= size:
            return [None]
        cuts = [words[i : i + size] for i in range(0, len(words), size)]
        return [TextSpan(i, few[0].start(), few[-1].end()) for i, few in enumerate(cuts)]

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> str:
        with opened(source) as file:
            text = probe(file).text or ""
            if "broken" in text:
                raise MediaError(file.name, "decode", "is broken. Mend it.")
        return text[span.start_char : span.end_char] if isinstance(span, TextSpan) else text

    def __call__(self, media: str) -> np.ndarray:
        places = self.known.places if self.known else {}
        return np.array([2 + places.get(word, -1) for word in media.split()], np.int64)
