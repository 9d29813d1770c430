"""Labels, groups and splits as they are meant, however they are written; the one home of the rule.

Manifests, folders and stored datasets are read by it, so that training, embedding and evaluation
agree. Blanks around a value do not count. A *placeholder* is what programs write for an empty cell,
and means that there is none. A split is ``train``, ``val`` or ``test``, or another name of these in
any case. A label may be several. Values that are read otherwise than they are written are counted.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mmembed.errors.plain_text import brief

ABOUT = ("label", "group", "split")
SPLITS = ("train", "val", "test")
SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
# Exact spellings. "none", "NA" and "na" are not here: they may well be classes.
PLACEHOLDERS = frozenset(["nan", "NaN", "None", "NULL", "null", "N/A", "n/a", "#N/A", "<NA>"])
NAMED_SPELLINGS = 3
COUNTED = {"label": "class", "group": "group"}

Cell = str | list[str] | None
SpellingKind = Literal["placeholder", "blanks", "spelling", "unknown-split"]


@dataclass(frozen=True)
class SpellingFault:
    """A fault in how a column is written.

    Attributes:
        kind: a short code that stays the same.
        count: cells, or different values where ``of`` names them.
        of: ``label`` or ``group`` where values are counted; empty for cells.
        message: the sentence, behind the count and the word for what is counted.
        first: the number of the first cell of each spelling.
    """

    kind: SpellingKind
    count: int
    of: str
    message: str
    first: tuple[int, ...]


@dataclass(frozen=True)
class Spellings:
    """Spellings of a column that are not read as they are written, with how many cells have each.

    Attributes:
        column: ``label``, ``group`` or ``split``.
        placeholders: read as none.
        trimmed: with blanks around them, read without.
        renamed: other names of splits.
        unknown: names of no split, kept without blanks around them.
        alike: groups of values that differ in case or blanks alone, or in their Unicode form.
        filled: cells that mean something.
        several: cells with more than one label.
        first: the number of the first cell of each spelling.
    """

    column: str
    placeholders: Counter[str] = field(default_factory=Counter)
    trimmed: Counter[str] = field(default_factory=Counter)
    renamed: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    alike: tuple[list[str], ...] = ()
    filled: int = 0
    several: int = 0
    first: Mapping[str, int] = field(default_factory=dict)

    def faults(self) -> Iterator[SpellingFault]:
        """Yield what should be written otherwise."""
        column, known = self.column, f"{', '.join(SPLITS[:-1])} and {SPLITS[-1]}"
        other = "" if column == "split" else f", or call such a {COUNTED[column]} otherwise"
        cells: tuple[tuple[SpellingKind, Counter[str], str], ...] = (
            ("placeholder", self.placeholders, f"which counts as none: leave it empty{other}"),
            ("blanks", self.trimmed, "read without the blanks around it: remove them"),
            ("unknown-split", self.unknown, f"which is none of {known}: call it one of these"),
        )
        for kind, counts, words in cells:
            if counts:
                first = tuple(self.first[text] for text in _commonest_first(counts))
                message = f"with {spelled(counts)} as {column}, {words}"
                yield SpellingFault(kind, counts.total(), "", message, first)
        if self.alike:
            values = [value for group in self.alike for value in group]
            two = " and ".join(map(brief, self.alike[0][:2]))
            message = (
                f"that differ from another in case or blanks alone (such as {two}), each a "
                f"{COUNTED[column]} of its own: write them alike"
            )
            first = tuple(self.first[value] for value in values)
            yield SpellingFault("spelling", len(values), column, message, first)

    @property
    def several_note(self) -> str:
        """A line on a column of lists: how many cells have several labels, of those with any."""
        return f"{self.several:,} of {self.filled:,} labelled rows have several labels"

    @property
    def split_note(self) -> str:
        """A line on the other names of splits and how they are read; empty if there are none."""
        parts = []
        for split in SPLITS:
            names = {t: n for t, n in self.renamed.items() if split_named(t) == split}
            if names:
                parts.append(f"{spelled(Counter(names))} read as {split}")
        return "; ".join(parts)


def split_named(text: str) -> str | None:
    """Return the split that a name means, in any case and with blanks around it; None for none."""
    return SPLIT_NAMES.get(text.strip().casefold())


def read_cells(cells: Iterable[Cell], column: str) -> tuple[list[Cell], Spellings]:
    """Return the cells of a column as they are meant, and the spellings that were not.

    A list of labels becomes the list of those that it means, each once, and None if it means none.

    Args:
        cells: as they are written.
        column: ``label``, ``group`` or ``split``.
    """
    meant: dict[str, str | None] = {}
    first: dict[str, int] = {}
    odd: Counter[str] = Counter()

    def meaning(text: str, place: int) -> str | None:
        if text not in meant:
            meant[text] = _meaning(text, column)
            first[text] = place
        value = meant[text]
        if value != text or (column == "split" and value not in SPLITS):
            odd[text] += 1
        return value

    values: list[Cell] = []
    for place, cell in enumerate(cells):
        if cell is None or isinstance(cell, str):
            values.append(meaning(cell, place) if cell else None)
            continue
        each = (meaning(text, place) for text in cell if text)
        values.append([*dict.fromkeys(label for label in each if label is not None)] or None)
    for text, value in [*meant.items()]:
        if value is not None:
            first.setdefault(value, first[text])
    several = sum(isinstance(value, list) and len(value) > 1 for value in values)
    filled = len(values) - values.count(None)
    return values, replace(_spellings(column, odd, meant, first), filled=filled, several=several)


def _meaning(text: str, column: str) -> str | None:
    bare = text.strip()
    if not bare or bare in PLACEHOLDERS:
        return None
    return split_named(bare) or bare if column == "split" else bare


def _spellings(
    column: str,
    odd: Counter[str],
    meant: Mapping[str, str | None],
    first: Mapping[str, int],
) -> Spellings:
    def those(*values: str | None) -> Counter[str]:
        return Counter({text: count for text, count in odd.items() if meant[text] in values})

    placeholders = those(None)
    if column == "split":
        renamed = those(*SPLITS)
        unknown = odd - placeholders - renamed
        return Spellings(column, placeholders, renamed=renamed, unknown=unknown, first=first)
    folded: dict[str, list[str]] = defaultdict(list)
    for value in dict.fromkeys(meant.values()):
        if value is not None:
            folded[fold(value)].append(value)
    alike = tuple(values for values in folded.values() if len(values) > 1)
    return Spellings(column, placeholders, odd - placeholders, alike=alike, first=first)


def spelled(counts: Counter[str]) -> str:
    """Return spellings and their counts: ``'nan' (10), 'None' (4), 'NULL' (1) and 2 more``."""
    ordered = _commonest_first(counts)
    named = [f"{brief(text)} ({counts[text]:,})" for text in ordered[:NAMED_SPELLINGS]]
    more = len(counts) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _commonest_first(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda text: (-counts[text], text))


def fold(text: str) -> str:
    """Return a text that is the same for texts that differ in case, blanks or Unicode forms."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
