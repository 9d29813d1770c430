"""``mmembed compact OUT``: the small parts of a dataset merged into larger ones; no row changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmembed.errors import ConfigError, StoreError
from mmembed.paths import Place
from mmembed.store.compact import merge_parts
from mmembed.store.dataset import NO_PARTS, EmbeddingDataset
from mmembed.store.part_file import Footer
from mmembed.store.provenance import check_same_space

PART_ROWS = 250_000


@dataclass(frozen=True)
class CompactSummary:
    """The outcome of :func:`compact`.

    Attributes:
        out: the dataset.
        before: number of parts that there were.
        after: number of parts now.
        rows: rows in merged parts.
    """

    out: Place
    before: int
    after: int
    rows: int

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.out}: {self.before:,} parts became {self.after:,}; {self.rows:,} rows moved"


def compact(out: str | Path, part_rows: int = PART_ROWS) -> CompactSummary:
    """Merge the small parts of a dataset into larger ones.

    Parts that were decoded by other revisions or versions of libraries stay apart.

    Args:
        out: the dataset, at a path or URL.
        part_rows: parts are merged until they have this many rows.

    Raises:
        StoreError: no dataset there, parts of different spaces, or another run is writing to it.
        ConfigError: ``part_rows`` is not positive.
    """
    if part_rows < 1:
        raise ConfigError("must be positive", "part_rows", part_rows)
    dataset = EmbeddingDataset.at(out)
    parts_before = dataset.parts()
    if not parts_before or dataset.folder in parts_before:
        raise StoreError(f"{dataset}: {NO_PARTS}")
    with dataset.locked():
        dataset.remove_leftovers()
        parts = dataset.footers()
        first = parts[0]
        for other in parts:
            check_same_space(first.provenance, str(first.part), other.provenance, str(other.part))
        rows = after = 0
        for group in _groups(parts, part_rows):
            after += 1
            if len(group) > 1:
                merge_parts(dataset, group)
                rows += sum(footer.rows for footer in group)
    return CompactSummary(dataset.folder, len(parts), after, rows)


def _groups(parts: Iterable[Footer], part_rows: int) -> Iterator[list[Footer]]:
    """Yield parts that become one: of one schema, and not many more than ``part_rows`` rows."""
    alike: list[list[Footer]] = []
    for part in parts:
        for others in alike:
            if part.schema.equals(others[0].schema, check_metadata=True):
                others.append(part)
                break
        else:
            alike.append([part])
    for others in alike:
        group: list[Footer] = []
        total = 0
        for part in others:
            if group and total + part.rows > part_rows:
                yield group
                group, total = [], 0
            group.append(part)
            total += part.rows
        yield group
