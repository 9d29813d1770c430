"""Ids and tags to rows of an encoder's table, each with a weight."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from mmembed.errors import ConfigError, MediaError
from mmembed.errors.plain_text import brief, say
from mmembed.media.file import opened
from mmembed.media.probe import MediaInfo, Source, probe
from mmembed.media.spans import AnySpan
from mmembed.modality import Modality
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.vocabulary import MOST_IDS, Vocabulary

Tags = tuple[tuple[str, float], ...]  # each with its weight

UNSEEN_ROW = 1  # row 0 is that of padding
FIRST_ROW = 2  # of an id
MOST_BUCKETS = MOST_IDS
MOST_TAGS = 1 << 16
LARGEST_WEIGHT = 1e9
SMALLEST_SUM = 1e-30  # of weights: an encoder divides by it in fp32
DECODER = json.JSONDecoder(object_pairs_hook=tuple)  # a call of json.loads makes one each time
FORMS = 'Write an id as "u17", tags as ["red", "round"], tags with weights as {"red": 0.5}.'


@dataclass(frozen=True)
class CategoryPreprocess(Preprocess):
    """An id, tags, or tags with weights to values ``(tags, 2)`` of float64: row and weight.

    Rows are those of an encoder's table: 0 is padding, 1 is for all ids that training did not
    see, and the others are the ids'. A tag without a weight weighs 1; a weight may be negative.
    Ids are taken letter by letter: ``Red`` and ``red`` are two.

    With ``buckets`` there is no vocabulary: two hashes of an id name two rows, and values are
    ``(tags, 3)``: both rows and the weight. Two ids are the same only where both rows are, as in
    hash embeddings (Svenstrup et al. 2017, arXiv 1709.03933) and Bloom embeddings (Serrà and
    Karatzoglou 2017, arXiv 1706.03993). The hashes are those of BLAKE2b, the same everywhere.

    Numeric columns (a price, an age) are out of scope: a number is taken for the name of an id,
    and 9 is no nearer to 10 than to 1000. Cut them into ranges, such as ``age 20-29``.

    Args:
        vocabulary: ids that have a row, learnt by :meth:`fitted`; None before that.
        least_count: ids that fewer training items have count as unseen.
        buckets: rows that ids are hashed into, up to 16,000,000; 0 for a vocabulary.
        separator: cuts an id into tags (``red|round``), spaces around them left out; empty to
            take it whole.
        most_tags: an item with more of them is an error.

    Raises:
        ConfigError: an argument out of range, or two that exclude each other.
    """

    modality: ClassVar[Modality] = "category"

    vocabulary: Vocabulary | None = None
    least_count: int = 1
    buckets: int = 0
    separator: Literal["", "|", ",", ";", "/", " "] = ""
    most_tags: int = 1024

    def __post_init__(self) -> None:
        if self.least_count < 1 or not 0 <= self.buckets <= MOST_BUCKETS:
            raise ConfigError(
                f"CategoryPreprocess: least_count {self.least_count} must be at least 1, and "
                f"buckets {self.buckets} from 0 to {MOST_BUCKETS:,}"
            )
        if not 1 <= self.most_tags <= MOST_TAGS:
            raise ConfigError(
                f"CategoryPreprocess: most_tags {self.most_tags} must be from 1 to {MOST_TAGS:,}"
            )
        if self.buckets and (self.vocabulary is not None or self.least_count > 1):
            raise ConfigError(
                "CategoryPreprocess: buckets have no vocabulary and no least_count, since every "
                "id has rows; leave out one or the other"
            )

    @property
    def is_fitted(self) -> bool:  # type: ignore[override]
        """Whether ids have rows."""
        return self.buckets > 0 or self.vocabulary is not None

    @property
    def rows(self) -> int:
        """Number of rows of the encoder's table."""
        return FIRST_ROW + (self.buckets if self.vocabulary is None else len(self.vocabulary))

    def load(
        self, source: Source, span: AnySpan | None = None, *, allow_truncated: bool = False
    ) -> Tags:
        """Return the tags of an item, each with its weight.

        Raises:
            MediaError: it holds no ids, too many, or something else than ids and weights.
        """
        with opened(source) as file:
            return self._tags(probe(file).text, file.name)

    def __call__(self, media: Tags) -> np.ndarray:
        """Return values ``(tags, 2)``, with hashing ``(tags, 3)``, of float64.

        Raises:
            ConfigError: there are no rows yet, since nothing was learnt.
        """
        rows: list[tuple[int, ...]]
        if self.buckets:
            rows = [_hashed(tag, self.buckets) for tag, _ in media]
        elif self.vocabulary is not None:
            places = self.vocabulary.places
            rows = [(places.get(tag, UNSEEN_ROW - FIRST_ROW) + FIRST_ROW,) for tag, _ in media]
        else:
            raise ConfigError(
                "CategoryPreprocess: has no vocabulary yet. Train the space first, which learns "
                "it, or set buckets"
            )
        lines = [(*row, weight) for row, (_, weight) in zip(rows, media, strict=True)]
        return np.array(lines, np.float64)

    def words(self, media: Tags) -> str:
        """Return tags as a reader writes them: ``red, round``, or ``red 0.5, round``."""
        return ", ".join(tag if weight == 1 else f"{tag} {weight:g}" for tag, weight in media)

    def padded_length(self, length: int) -> int:
        """Return ``length`` in tags, rounded up to a power of two."""
        return 1 << (max(length, 1) - 1).bit_length()

    def length(self, info: MediaInfo, span: AnySpan | None) -> int:
        """Return the number of tags; 0 of an item that has none or can't be read."""
        try:
            return len(self._tags(info.text, ""))
        except MediaError:
            return 0

    def fitted(self, items: Iterable[str]) -> CategoryPreprocess:
        """Return the preprocess with the vocabulary of its training items, and say its size.

        One that has a vocabulary is returned as it is. With ``buckets`` nothing is learnt, and a
        line says how many ids share both rows with another.

        Args:
            items: contents of cells, as JSON; those that can't be read are counted, and left out.

        Raises:
            ConfigError: they hold no id, none of them often enough, or too many.
        """
        if self.vocabulary is not None:
            return self
        counts: Counter[str] = Counter()
        broken: list[str] = []
        for content in items:
            try:
                counts.update({tag for tag, _ in self._tags(content, "")})
            except MediaError as error:
                broken.append(f"{brief(content)} {error.message}")
        if broken:
            say(f"category: {len(broken):,} items left out, the first: {broken[0]}", sys.stderr)
        if not counts:
            raise ConfigError(
                "CategoryPreprocess: no training item holds an id. Check the column of the manifest"
            )
        if self.buckets:
            say(f"category: {_collisions(counts, self.buckets)}", sys.stderr)
            return self
        kept = [tag for tag, count in counts.items() if count >= self.least_count]
        if not kept:
            raise ConfigError(
                f"CategoryPreprocess: least_count {self.least_count}: no id is in so many of the "
                "training items; lower it"
            )
        text = f"category: a vocabulary of {len(kept):,} ids"
        if len(kept) < len(counts):
            fewer = f"{len(counts) - len(kept):,} more, in less than {self.least_count} items each"
            text += f"; {fewer}, count as unseen"
        say(text, sys.stderr)
        return replace(self, vocabulary=Vocabulary.of(kept))

    def _tags(self, content: str | None, name: str) -> Tags:
        """Return the tags and weights of an item's JSON, all of them checked."""
        try:
            item = DECODER.decode(content or "")
        except (ValueError, RecursionError):
            raise MediaError(name, "decode", f"is no JSON of ids. {FORMS}") from None
        pairs = self._pairs(item)
        if not pairs:
            raise MediaError(name, "decode", "holds no ids. Leave its cell empty.")
        if len(pairs) > self.most_tags:
            many = f"has {len(pairs):,} tags, more than most_tags {self.most_tags:,}"
            raise MediaError(name, "decode", f"{many}. List fewer, or raise most_tags.")
        tags = []
        for tag, weight in pairs:
            if isinstance(tag, bool) or not isinstance(tag, (str, int)) or tag == "":
                message = f"has {brief(tag)} as a tag, not a text or a whole number. {FORMS}"
                raise MediaError(name, "decode", message)
            if not (type(weight) in (int, float) and abs(weight) <= LARGEST_WEIGHT):
                message = f"has {brief(weight)} as a weight, not a number up to 1e9. {FORMS}"
                raise MediaError(name, "decode", message)
            tags.append((str(tag), float(weight)))
        if sum(abs(weight) for _, weight in tags) < SMALLEST_SUM:
            raise MediaError(name, "decode", "has weights of 0 alone. Leave its cell empty.")
        return tuple(tags)

    def _pairs(self, item: Any) -> list[tuple[Any, Any]]:
        if item is None:
            return []
        if isinstance(item, tuple):  # an object of JSON
            return list(item)
        if isinstance(item, str) and self.separator:
            item = [part for each in item.split(self.separator) if (part := each.strip())]
        return [(tag, 1.0) for tag in (item if isinstance(item, list) else [item])]


def _hashed(tag: str, buckets: int) -> tuple[int, int]:
    """Return the two rows of an id: each half of a BLAKE2b hash of 16 bytes names one."""
    hashed = hashlib.blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    first, second = (int.from_bytes(half, "little") for half in (hashed[:8], hashed[8:]))
    return FIRST_ROW + first % buckets, FIRST_ROW + second % buckets


def _collisions(ids: Iterable[str], buckets: int) -> str:
    """Return how many ids share both rows with another; which row is the first does not matter."""
    rows = (sorted(_hashed(each, buckets)) for each in ids)
    both = np.fromiter((low * (FIRST_ROW + buckets) + high for low, high in rows), np.int64)
    _, counts = np.unique(both, return_counts=True)
    shared = counts[counts > 1].sum()
    return (
        f"{shared:,} of {len(both):,} ids share both rows with another id and can't be told from "
        f"it ({buckets:,} buckets; more buckets, fewer of them)"
    )
