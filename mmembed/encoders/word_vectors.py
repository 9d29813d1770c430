"""Word vectors in text form: files of GloVe and of word2vec.

Each line is a word and its numbers, with spaces between (GloVe, Pennington et al. 2014);
word2vec's have a first line with the number of words and of numbers a word.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmembed.errors import ConfigError
from mmembed.errors.plain_text import brief

MOST_NUMBERS = 8192
LARGEST_VALUE = 1e4
LONGEST_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class VectorFile:
    """A file of word vectors, of which the first line was read.

    Args:
        path: of the file.
        words: number of words as the first line says; None if it does not.
        dim: numbers a word.
    """

    path: Path
    words: int | None
    dim: int

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> VectorFile:
        """Return a file of word vectors.

        Raises:
            ConfigError: it can't be read, or its first line is none of such a file.
        """
        path = Path(path)
        first = next(_lines(path), (1, b""))[1].split()
        if len(first) == 2 and all(part.isdigit() for part in first):
            words, dim = (int(part) for part in first)
        else:
            words, dim = None, len(first) - 1
        if not 1 <= dim <= MOST_NUMBERS:
            raise ConfigError(
                f"{path}, line 1: {brief(_shown(b' '.join(first)))} is no word and its vector, as "
                "GloVe and word2vec write them as text"
            )
        return cls(path, words, dim)

    def read(self, wanted: Collection[str]) -> dict[str, np.ndarray]:
        """Return the vectors ``(dim,)`` of float32 of those of some words that the file has.

        Of a word that stands there twice, the first counts. The numbers of other words are not
        looked at.

        Raises:
            ConfigError: (with the line) the file can't be read, a line has no such vector, or
                there are fewer lines than the first one says.
        """
        known = {word.encode("utf-8", "surrogatepass"): word for word in wanted}
        vectors: dict[str, np.ndarray] = {}
        count = 0
        for number, line in _lines(self.path):
            if (self.words is not None and number == 1) or not line.strip():
                continue
            count += 1
            parts = line.rstrip().rsplit(b" ", self.dim)  # a word of GloVe may hold spaces
            if len(parts) != self.dim + 1:
                raise self._error(number, f"has {len(parts) - 1} numbers, not {self.dim}")
            word = known.get(parts[0].strip())
            if word is not None and word not in vectors:
                vectors[word] = self._vector(parts[1:], number)
        if self.words is not None and count < self.words:
            raise ConfigError(
                f"{self.path}: has {count:,} words, and {self.words:,} by its first line. Fetch it "
                "again."
            )
        return vectors

    def _vector(self, parts: list[bytes], number: int) -> np.ndarray:
        try:
            vector = np.array([float(part) for part in parts], np.float64)
        except ValueError:
            raise self._error(number, "holds something else than numbers") from None
        if not bool((np.abs(vector) <= LARGEST_VALUE).all()):  # NaN is not either
            raise self._error(number, f"holds NaN, or a number beyond {LARGEST_VALUE:,.0f}")
        return vector.astype(np.float32)

    def _error(self, number: int, message: str) -> ConfigError:
        return ConfigError(f"{self.path}, line {number}: {message}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, from 1 on.

    Raises:
        ConfigError: it can't be read, or a line is too long.
    """
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if len(line) > LONGEST_LINE_BYTES:
                    raise ConfigError(f"{path}, line {number}: is too long for a vector")
                yield number, line
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from None


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace")
