"""Tokenizers: texts to the numbers of their tokens, learnt from texts or read from a file."""

from __future__ import annotations

import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from mmembed.preprocess.unigram_training import learnt_pieces

PADDING, UNKNOWN = "[PAD]", "[UNK]"
SMALLEST_VOCABULARY = 8
SEEDS_A_PIECE = 4  # byte pairs that unigrams are chosen from
LONGEST_PIECE = 16  # characters
LARGEST_FILE_BYTES = 64 << 20
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
        """Return a tokenizer that is learnt from texts; equal texts give an equal one.

        Texts are normalised (Unicode's NFKC); words are what stands between white space, and
        punctuation is taken off them. The characters that have no room in half of the vocabulary,
        the least frequent ones, are unknown.

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
        held = [text for text in map(_encodable, texts) if text.strip()]
        if not held:
            raise ConfigError("there is no text to learn a tokenizer from")
        made = _guarded(lambda: _trained(held, model, vocabulary, lowercase), "can't be trained")
        return cls._usable(tokenizer_json.without_surroundings(made.to_str(), drop_added=True))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Return the tokenizer of a ``tokenizer.json``, such as the Hugging Face Hub has.

        What pads, cuts off and adds tokens around a text is left out: a preprocess does that.

        Raises:
            ConfigError: no such file, or no tokenizer in it that can be used.
        """
        try:
            if os.path.getsize(path) > LARGEST_FILE_BYTES:
                raise ConfigError(f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
            content = Path(path).read_text("utf-8-sig")
            return cls._usable(tokenizer_json.without_surroundings(content))
        except (ConfigError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise ConfigError(f"{os.fspath(path)}: {reason}") from None

    @classmethod
    def from_bytes(cls, data: bytes) -> Tokenizer:
        """Return the tokenizer that :meth:`to_bytes` wrote."""
        if len(data) > LARGEST_FILE_BYTES:
            raise ConfigError(f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
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


def _trained(
    texts: Sequence[str], model: Model, vocabulary: int, lowercase: bool
) -> tokenizers.Tokenizer:
    """Return a tokenizer of the library, learnt from texts."""
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    pieces: list[Any] = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    if model != "word":
        pieces.insert(1, pre_tokenizers.Metaspace(prepend_scheme="always"))
    learning = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    learning.normalizer = normalizers.Sequence(steps)
    learning.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    special = [PADDING, UNKNOWN]
    if model == "word":
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocabulary, special_tokens=special, show_progress=False
        )
        with _one_thread():
            learning.train_from_iterator(texts, trainer)
        return learning
    words = Counter(
        word
        for text in texts
        for word, _ in learning.pre_tokenizer.pre_tokenize_str(
            learning.normalizer.normalize_str(text)
        )
    )
    alphabet = _alphabet(words, vocabulary // 2)  # the library chooses by chance among equals
    learning.model = models.BPE(unk_token=UNKNOWN, fuse_unk=True)
    pairs = trainers.BpeTrainer(
        vocab_size=vocabulary * (SEEDS_A_PIECE if model == "unigram" else 1),
        special_tokens=special,
        show_progress=False,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        max_token_length=LONGEST_PIECE if model == "unigram" else None,
    )
    with _one_thread():
        learning.train_from_iterator(texts, pairs)
    if model == "unigram":
        seeds = learning.get_vocab().keys() - set(special)
        scores = learnt_pieces(words, seeds, vocabulary - len(special))
        whole = [*((name, 0.0) for name in special), *scores.items()]
        learning.model = models.Unigram(whole, special.index(UNKNOWN), False)
    return learning


def _alphabet(words: Counter[str], most: int) -> list[str]:
    """Return the most frequent characters of words, in a fixed order."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    return sorted(counts, key=lambda character: (-counts[character], character))[:most]


def _guarded(call: Callable[[], Result], what: str) -> Result:
    """Return what a call of the library gives; its panics are no ``Exception``."""
    try:
        return call()
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ConfigError(f"the tokenizer {what}: {one_line(error)}") from None


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
