"""Texts to the values of a text encoder: the numbers of their tokens."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from mmembed.errors import ConfigError, MediaError
from mmembed.media.file import opened
from mmembed.media.probe import MediaInfo, Source, probe
from mmembed.media.spans import AnySpan, TextSpan
from mmembed.modality import Modality
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.text_segments import segments
from mmembed.preprocess.tokenizer import SMALLEST_VOCABULARY, Model, Tokenizer
from mmembed.preprocess.tokenizer_json import LARGEST_VOCABULARY

FEWEST_TOKENS, MOST_TOKENS = 4, 8192
MOST_PROMPTS = 64
LONGEST_PROMPT = 1000
PROMPT_NAME = re.compile("[A-Za-z0-9_]{1,64}")
CHARACTERS_A_TOKEN = 4  # about, for the lengths of batches


class Words(NamedTuple):
    """A text, or a segment of one, and its tokens.

    Attributes:
        text: as it stands in the item.
        numbers: of the tokens of the prompt and the text, ``(tokens,)`` of int64.
    """

    text: str
    numbers: np.ndarray


@dataclass(frozen=True)
class TextPreprocess(Preprocess):
    """A text to values ``(tokens,)`` of int64, the numbers of its tokens; 0 is padding.

    A text of more than ``max_tokens`` is cut into segments, which end at the ends of words, so
    that all of it is embedded. A word of more tokens than that is cut between two of them.

    Args:
        tokenizer: of the texts, or the path of a ``tokenizer.json``; None for one that
            :meth:`fitted` learns from the training texts.
        vocabulary: most tokens of the one that is learnt.
        model: of the one that is learnt: ``unigram``, ``bpe`` or ``word``.
        lowercase: whether ``A`` is as ``a`` to the one that is learnt.
        max_tokens: of a segment, its prompt included.
        overlap_tokens: about how many tokens two segments that follow each other share: whole
            words of at most so many.
        bucket_tokens: values are padded to a multiple of this.
        prompts: texts that may stand before a segment, by name (``query: "query: "``).
        prompt: the name of the one that does; empty for none.

    Raises:
        ConfigError: an argument out of bounds.
    """

    modality: ClassVar[Modality] = "text"

    tokenizer: Tokenizer | Path | None = None
    vocabulary: int = 8000
    model: Model = "bpe"
    lowercase: bool = False
    max_tokens: int = 128
    overlap_tokens: int = 0
    bucket_tokens: int = 16
    prompts: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    prompt: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, (str, Path)):
            object.__setattr__(self, "tokenizer", Tokenizer.read(self.tokenizer))
        object.__setattr__(self, "is_fitted", self.tokenizer is not None)
        given = self.prompts
        pairs = given.items() if isinstance(given, Mapping) else given
        object.__setattr__(self, "prompts", tuple((name, text) for name, text in pairs))
        self._check_numbers()
        self._check_prompts()

    def _check_numbers(self) -> None:
        bounds = {
            "vocabulary": (SMALLEST_VOCABULARY, LARGEST_VOCABULARY),
            "max_tokens": (FEWEST_TOKENS, MOST_TOKENS),
            "overlap_tokens": (0, self.max_tokens - 1),
            "bucket_tokens": (1, MOST_TOKENS),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(
                    f"TextPreprocess: {name} {value} must be from {least:,} to {most:,}"
                )

    def _check_prompts(self) -> None:
        names = [name for name, _ in self._pairs]
        for name, text in self._pairs:
            named = isinstance(name, str) and PROMPT_NAME.fullmatch(name) is not None
            if not (named and isinstance(text, str) and len(text) <= LONGEST_PROMPT):
                raise ConfigError(
                    f"TextPreprocess: prompt {name!r} needs a name of letters, digits and _, and "
                    f"a text of at most {LONGEST_PROMPT} characters"
                )
        if len(names) > MOST_PROMPTS or len(set(names)) < len(names):
            raise ConfigError(f"TextPreprocess: prompts must be at most {MOST_PROMPTS}, once each")
        if self.prompt and self.prompt not in names:
            known = f"there are {', '.join(names)}" if names else "there are none"
            raise ConfigError(f"TextPreprocess: there is no prompt {self.prompt!r}; {known}")

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        assert isinstance(self.prompts, tuple)
        return self.prompts

    @property
    def before(self) -> str:
        """The prompt that stands before each segment; empty if none does."""
        return dict(self._pairs).get(self.prompt, "")

    def fitted(self, items: Iterable[str]) -> TextPreprocess:
        """Return the preprocess with a tokenizer that is learnt from texts, and the prompts.

        One that has a tokenizer stays as it is.

        Raises:
            ConfigError: nothing can be learnt from them.
        """
        if self.is_fitted:
            return self
        texts = [text for _, text in self._pairs]
        learnt = Tokenizer.train(
            (text for several in (texts, items) for text in several),
            self.model,
            self.vocabulary,
            self.lowercase,
        )
        return dataclasses.replace(self, tokenizer=learnt)

    def learnt(self) -> str:
        """Return the size of the tokenizer."""
        held = self.tokenizer
        return f"tokenizer of {held.size:,} tokens" if isinstance(held, Tokenizer) else ""

    def spans(self, info: MediaInfo) -> list[AnySpan | None]:
        """Return the segments of a text; ``[None]`` for one that fits whole."""
        text = info.text or ""
        room = self.max_tokens - len(self._numbers(""))
        if len(self._numbers(text)) <= self.max_tokens or room < 1:
            return [None]
        _, offsets = self._known_tokenizer.encode(text)
        cut = segments(
            text,
            offsets,
            room,
            self.overlap_tokens,
            lambda part: len(self._numbers(part)) <= self.max_tokens,
        )
        return [TextSpan(i, start, end) for i, (start, end) in enumerate(cut)] or [None]

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> Words:
        """Return a text, or one segment of it, and its tokens.

        Raises:
            MediaError: it is empty, or has no token the tokenizer knows; or no segment of it is
                short enough.
        """
        with opened(source) as file:
            text, name = probe(file).text or "", file.name
        if isinstance(span, TextSpan):
            text = text[span.start_char : span.end_char]
        if not text.strip():
            raise MediaError(name, "decode", "is an empty text. Leave it out.")
        try:
            numbers = self._numbers(text)
            alone = self.before == "" or len(self._known_tokenizer.encode(text)[0])
        except ConfigError as error:
            raise MediaError(name, "decode", error.sentence, "tokenizers") from None
        if not (len(numbers) and alone):
            message = "has no token that the tokenizer knows. Leave it out."
            raise MediaError(name, "decode", message)
        if len(numbers) > self.max_tokens:
            message = (
                f"has {len(numbers)} tokens that can't be cut, the prompt's among them, and "
                f"max_tokens is {self.max_tokens}. Raise it."
            )
            raise MediaError(name, "decode", message)
        return Words(text, numbers)

    def __call__(self, media: Words) -> np.ndarray:
        """Return values ``(tokens,)`` of int64, of the prompt and the text."""
        return np.array(media.numbers)

    def words(self, media: Words) -> str:
        """Return the text, without the prompt."""
        return media.text

    def length(self, info: MediaInfo, span: AnySpan | None) -> int:
        """Return about how many tokens a segment has."""
        given = len(info.text or "")
        characters = span.end_char - span.start_char if isinstance(span, TextSpan) else given
        return min(self.max_tokens, 1 + (len(self.before) + characters) // CHARACTERS_A_TOKEN)

    def padded_length(self, length: int) -> int:
        """Return ``length`` in tokens, rounded up to whole buckets, or to ``max_tokens``."""
        buckets = max(1, math.ceil(length / self.bucket_tokens)) * self.bucket_tokens
        return max(length, min(buckets, self.max_tokens))

    def _numbers(self, text: str) -> np.ndarray:
        return self._known_tokenizer.encode(self.before + text)[0]

    @property
    def _known_tokenizer(self) -> Tokenizer:
        if not isinstance(self.tokenizer, Tokenizer):
            raise ConfigError(
                "TextPreprocess: it has no tokenizer yet. Train the space, or give tokenizer."
            )
        return self.tokenizer
