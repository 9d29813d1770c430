"""Tokenizers: texts to the numbers of their tokens, learnt from texts or read from a file."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from mmembed.errors import ConfigError
from mmembed.errors.plain_text import one_line
from mmembed.preprocess import tokenizer_json
from mmembed.preprocess.asset import Asset

PADDING, UNKNOWN = "[PAD]", "[UNK]"
SMALLEST_VOCABULARY = 8
MOST_BYTES = 64 << 20
WORD_STARTS = ("▁", "Ġ")  # SentencePiece's, and that of byte-level BPE
WORD_GOES_ON = "##"  # WordPiece's
SURROGATES = re.compile("[\ud800-\udfff]")
REMEMBERED = 2  # texts whose tokens are kept: one is cut into segments, and then loaded
PARALLEL = "TOKENIZERS_PARALLELISM"

Model = Literal["unigram", "bpe", "word"]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tokenizer(Asset):
    """A tokenizer of the ``tokenizers`` library.

    Number 0 is padding and is the number of no token; a tokenizer that is made for something else
    gets its numbers moved up by one.

    Args:
        text: the tokenizer's JSON, with nothing that pads, cuts off or adds tokens.

    Attributes:
        numbers: the number of each token.
        size: numbers that there are, padding among them: the rows of a table.

    Raises:
        ConfigError: it is not the JSON of a tokenizer, or one out of bounds
            (:mod:`mmembed.preprocess.tokenizer_json`).
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        _ = self.numbers

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[str]]:
        return Tokenizer, (self.text,)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        model: Model = "bpe",
        vocabulary: int = 8000,
        lowercase: bool = False,
    ) -> Tokenizer:
        """Return a tokenizer that is learnt from texts.

        Equal texts give an equal one, but for ``unigram``, whose library sums the same numbers in
        an order of chance: two of its tokenizers may differ in a few tokens. Texts are normalised
        (Unicode's NFKC); words are what stands between white space, and punctuation is taken off
        them.

        Args:
            texts: to learn from; ten short phrases will do.
            model: ``unigram`` (Kudo 2018, arXiv 1804.10959) and ``bpe`` (Sennrich et al. 2016,
                arXiv 1508.07909) cut words into parts, and know every word whose characters
                they know; ``word`` knows the most frequent words alone.
            vocabulary: most tokens, padding and the unknown token among them.
            lowercase: whether ``A`` is as ``a``.

        Raises:
            ConfigError: nothing can be learnt from the texts, or ``vocabulary`` is out of bounds.
        """
        if not SMALLEST_VOCABULARY <= vocabulary <= tokenizer_json.LARGEST_VOCABULARY:
            most = tokenizer_json.LARGEST_VOCABULARY
            message = f"must be from {SMALLEST_VOCABULARY} to {most:,}"
            raise ConfigError(message, "vocabulary", vocabulary)
        held = (text for text in map(_encodable, texts) if text.strip())
        first = next(held, None)
        if first is None:
            raise ConfigError("there is no text to learn a tokenizer from")
        steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
        settings: dict[str, Any] = {
            "vocab_size": vocabulary,
            "special_tokens": [PADDING, UNKNOWN],
            "show_progress": False,
        }
        pieces: list[Any] = [pre_tokenizers.Punctuation()]
        if model != "word":
            pieces = [pre_tokenizers.Metaspace(prepend_scheme="always"), *pieces]
        kind: Any = models.WordLevel(unk_token=UNKNOWN)
        trainer: Any = trainers.WordLevelTrainer(**settings)
        if model == "unigram":
            kind, trainer = models.Unigram(), trainers.UnigramTrainer(unk_token=UNKNOWN, **settings)
        elif model == "bpe":
            kind = models.BPE(unk_token=UNKNOWN, fuse_unk=True)
        learning = tokenizers.Tokenizer(kind)
        learning.normalizer = normalizers.Sequence(steps)
        learning.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), *pieces]
        )
        every = [first, *held]
        if model == "bpe":
            letters = _most_frequent_letters(every, learning.normalizer, vocabulary // 2)
            trainer = trainers.BpeTrainer(
                initial_alphabet=letters, limit_alphabet=len(letters), **settings
            )
        with _one_thread():
            _guarded(lambda: learning.train_from_iterator(every, trainer), "can't be trained")
        trained = tokenizer_json.without_surroundings(learning.to_str(), drop_added=True)
        return cls._usable(trained)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Return the tokenizer of a ``tokenizer.json``, such as the Hugging Face Hub has.

        What pads, cuts off and adds tokens around a text is left out: a preprocess does that.

        Raises:
            ConfigError: no such file, or no tokenizer in it that can be used.
        """
        try:
            if os.path.getsize(path) > MOST_BYTES:
                raise ConfigError(f"is larger than {MOST_BYTES >> 20} MiB")
            content = Path(path).read_text("utf-8-sig")
            return cls._usable(tokenizer_json.without_surroundings(content))
        except (ConfigError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise ConfigError(f"{os.fspath(path)}: {reason}") from None

    @classmethod
    def from_bytes(cls, data: bytes) -> Tokenizer:
        """Return the tokenizer that :meth:`to_bytes` wrote."""
        if len(data) > MOST_BYTES:
            raise ConfigError(f"is larger than {MOST_BYTES >> 20} MiB")
        try:
            return cls._usable(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ConfigError(f"is not UTF-8: {one_line(error)}") from None

    def to_bytes(self) -> bytes:
        """Return its JSON."""
        return self.text.encode("utf-8")

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens of a text.

        Args:
            text: any; halves of surrogate pairs, which are no characters, are unknown ones.

        Returns:
            numbers ``(tokens,)`` of int64, none of them 0, and where each token stands in the
            text, ``(tokens, 2)`` of int64: its first character, and the one after its last.

        Raises:
            ConfigError: the tokenizer can't deal with the text.
        """
        return self._encode(text)

    def words(self) -> dict[str, int]:
        """Return the tokens that are whole words, or may begin one, with their numbers."""
        known = {token: n for token, n in self.numbers.items() if token not in (PADDING, UNKNOWN)}
        for start in WORD_STARTS:
            if any(token.startswith(start) for token in known):
                return {token[1:]: n for token, n in known.items() if token[:1] == start != token}
        return {token: n for token, n in known.items() if not token.startswith(WORD_GOES_ON)}

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each token, as :meth:`encode` gives it."""
        parts = tokenizer_json.parsed(self.text)
        tokenizer_json.check(parts)
        tokens = tokenizer_json.tokens_of(parts)
        own = tokens.get(PADDING) == 0 and tokens.get(UNKNOWN) == 1
        return tokens if own else {token: number + 1 for token, number in tokens.items()}

    @property
    def size(self) -> int:
        """Numbers that there are, padding among them: the rows of a table."""
        return max(self.numbers.values()) + 1

    @classmethod
    def _usable(cls, text: str) -> Tokenizer:
        made = cls(text)
        _ = made._library
        return made

    @functools.cached_property
    def _library(self) -> tokenizers.Tokenizer:
        return _guarded(lambda: tokenizers.Tokenizer.from_str(self.text), "can't be used")

    @functools.cached_property
    def _encode(self) -> Callable[[str], tuple[np.ndarray, np.ndarray]]:
        moved = 0 if self.numbers.get(PADDING) == 0 else 1

        def encode(text: str) -> tuple[np.ndarray, np.ndarray]:
            library, text = self._library, _encodable(text)
            made = _guarded(
                lambda: library.encode(text, add_special_tokens=False), "can't take this text"
            )
            numbers = np.array(made.ids, np.int64) + moved
            offsets = np.array(made.offsets, np.int64).reshape(-1, 2)
            numbers.flags.writeable = offsets.flags.writeable = False
            return numbers, offsets

        return functools.lru_cache(REMEMBERED)(encode)


def _guarded(call: Callable[[], Result], what: str) -> Result:
    """Return what a call of the library gives; its panics are no ``Exception``."""
    try:
        return call()
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ConfigError(f"the tokenizer {what}: {one_line(error)}") from None


def _most_frequent_letters(texts: list[str], normalizer: Any, most: int) -> list[str]:
    """Return the letters that BPE starts from: of equally frequent ones always the same."""
    counts = Counter(itertools.chain.from_iterable(map(normalizer.normalize_str, texts)))
    letters = [letter for letter in counts if not letter.isspace()]
    letters.sort(key=lambda letter: (-counts[letter], letter))
    return sorted({WORD_STARTS[0], *letters[: most - 1]})


def _encodable(text: str) -> str:
    return SURROGATES.sub("\ufffd", text)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the library learn in one thread: a process that is forked later may use it then."""
    before = os.environ.get(PARALLEL)
    os.environ[PARALLEL] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[PARALLEL]
        else:
            os.environ[PARALLEL] = before
