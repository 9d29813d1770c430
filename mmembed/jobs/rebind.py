"""``mmembed rebind OUT NEW_SOURCE``: a dataset bound to the place that its media were moved to."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.changes import read_without_vectors
from mmembed.embedding.plan.moved_files import MovedFiles, State
from mmembed.embedding.plan.moved_source import moved_listing, old_source
from mmembed.embedding.plan.provenance import source_text
from mmembed.embedding.progress import LINE_SECONDS
from mmembed.errors import ConfigError, StoreError, VerdictError
from mmembed.errors.plain_text import plain, reason, redacted, say
from mmembed.paths import Place, place, shown
from mmembed.store.dataset import NO_PARTS, EmbeddingDataset
from mmembed.store.part_file import read_part
from mmembed.store.provenance import Provenance
from mmembed.store.replacement import Replacement
from mmembed.store.schema import with_source

SHOWN_NAMES = 8
WORDS = {
    State.OTHER_SIZE: "have another size",
    State.OTHER_CONTENT: "have the same size, but hold something else",
    State.GONE: "are not there",
    State.UNSEEN: "can't be seen now",
}


@dataclass(frozen=True)
class Check:
    """The comparison of a dataset's files with those of its new source.

    Args:
        checksum: look into every file, not into a sample.
        sample: number of files to look into; if one of them holds something else, all are looked
            into.
        old_source: the source that the media were moved from, to compare with where the dataset
            has no checksums; None takes the one that it names, if that is on this machine.
        strict: fail, after all is written, if any file of the dataset is not there as it was.

    Raises:
        ConfigError: out of range.
    """

    checksum: bool = False
    sample: int = 200
    old_source: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.sample < 1:
            raise ConfigError("must be at least 1", "sample", self.sample)


CHECK = Check()


@dataclass
class RebindSummary:
    """The outcome of :func:`rebind`.

    Attributes:
        out: the dataset.
        source: what it is bound to now.
        files: files of the dataset.
        same: how many of them are there with the same size, and not known to hold something else.
        other_time: how many of those have another time, which was taken over.
        names: of all others, by what they are.
        new: files of the source that the dataset does not have.
        by_checksum: files whose content was compared with checksums of the dataset.
        by_old_source: files whose content was compared with that in the old source.
        in_cells: texts and ids, which were compared by what they say.
        by_size: files that are taken for the same by their size alone.
        rewritten: parts that were written again.
        planned: nothing was done, this is what there is to do.
    """

    out: Place
    source: str
    files: int
    same: int
    other_time: int
    names: dict[State, list[str]]
    new: int
    by_checksum: int
    by_old_source: int
    in_cells: int
    by_size: int
    rewritten: int
    planned: bool = False

    @property
    def different(self) -> int:
        """Files of the dataset that are not there as they were."""
        return self.files - self.same

    def __str__(self) -> str:
        """Return the summary as a table, and what it means for the next run."""
        took = "would be taken over" if self.planned else "was taken over"
        lines = [
            f"{self.files:,} files of the dataset, looked for in {shown(self.source)}:",
            f"{self.same:>10,}  are there with the same size"
            + (f", {self.other_time:,} with another time, which {took}" if self.other_time else ""),
        ]
        for state, words in WORDS.items():
            if names := self.names[state]:
                lines.append(f"{len(names):>10,}  {words}: {_listed(names)}")
        lines += [f"{self.new:>10,}  more files are there", f"content: {self._content()}"]
        anew = len(self.names[State.OTHER_SIZE]) + len(self.names[State.OTHER_CONTENT])
        gone, unseen = len(self.names[State.GONE]), len(self.names[State.UNSEEN])
        lines.append(
            f"the next run of embed embeds {anew + self.new:,} files ({anew:,} of them anew) and "
            f"takes out the rows of {gone:,}; all others stay as they are"
        )
        if unseen:
            lines.append(f"bind it again once the {unseen:,} files that can't be seen now are back")
        if self.planned:
            return "\n".join([*lines, "dry run: nothing was written"])
        parts = f"{self.rewritten:,} parts were written again, no file was embedded"
        return "\n".join([*lines, f"bound to it: {parts}", f"dataset: {shown(self.out)}"])

    def _content(self) -> str:
        ways = [
            f"{count:,} {how}"
            for count, how in (
                (self.by_checksum, "files compared with the dataset's checksums"),
                (self.by_old_source, "files compared with the old source"),
                (self.in_cells, "texts and ids compared"),
                (self.by_size, "files taken for the same by size alone"),
            )
            if count
        ]
        if self.by_size and not self.by_checksum + self.by_old_source:
            ways.append("as there are neither checksums nor old files to compare with")
        return ", ".join(ways)


def rebind(
    out: str | Path, source: str | Path, check: Check = CHECK, dry_run: bool = False
) -> RebindSummary:
    """Bind a dataset to the place that its media were moved or copied to; nothing is embedded.

    Files are the same if their paths, sizes and, as far as compared, contents are; the times of
    the copies are taken over. The next run of ``embed`` over the new source embeds what is new or
    differs. Either all of the dataset is bound to the new source, or all of it to the old one.

    Args:
        out: the dataset, at a path or URL.
        source: the folder or manifest as it is now, at a path or URL.
        check: the comparison of the files.
        dry_run: only say what would be done.

    Raises:
        StoreError: no dataset there, another run is writing to it, or most of its files are not
            there or are others: then nothing is changed.
        ManifestError: no such source, or it can't be listed.
        ConfigError: an option out of range.
        VerdictError: ``check.strict``, and files are not there as they were.
    """
    dataset, new = EmbeddingDataset.at(out), place(source)
    parts = dataset.parts()
    if not parts or dataset.folder in parts:
        raise StoreError(f"{dataset}: {NO_PARTS}")
    with nullcontext() if dry_run else dataset.locked():
        if not dry_run:
            dataset.remove_leftovers()
        made = dataset.provenance()
        if made is None:
            raise StoreError(f"{dataset}: {NO_PARTS}")
        dataset.footers()  # each can be read
        try:
            summary = _bind(dataset, made, new, check, dry_run)
        except FileNotFoundError as error:  # at a URL no lock keeps other runs out
            raise StoreError(f"{dataset}: another run is writing to it ({reason(error)})") from None
    if check.strict and summary.different:
        message = f"{summary.different:,} files of {dataset} are not there as they were"
        raise VerdictError(message, summary, "strict")
    return summary


def _bind(
    dataset: EmbeddingDataset, made: Provenance, new: Place, check: Check, dry_run: bool
) -> RebindSummary:
    listing = moved_listing(dataset, made, new)
    moved = MovedFiles(Catalog(listing))
    for part in dataset.parts():
        for table in read_without_vectors(part):
            moved.look_for(part, table)
    _refuse_others(dataset, new, moved)
    old = old_source(made, listing, check.old_source)
    _show_progress(moved.compare(old, None if check.checksum else check.sample))
    _refuse_others(dataset, new, moved)
    if moved.differing:  # then nothing is known of those outside the sample
        _show_progress(moved.compare(old))
        _refuse_others(dataset, new, moved)
    bound = replace(made, source=source_text(listing.source))
    rewritten = 0 if dry_run else _write(dataset, moved, made, bound)
    return RebindSummary(
        dataset.folder,
        bound.source,
        files=moved.total,
        same=moved.same,
        other_time=moved.other_time,
        names=moved.names,
        new=moved.new,
        by_checksum=moved.by_checksum,
        by_old_source=moved.by_old_source,
        in_cells=moved.in_cells,
        by_size=moved.by_size,
        rewritten=rewritten,
        planned=dry_run,
    )


def _refuse_others(dataset: EmbeddingDataset, new: Place, moved: MovedFiles) -> None:
    """Refuse a source that holds other media than those that were embedded."""
    counts = {state: len(moved.names[state]) for state in WORDS}
    others = sum(counts[state] for state in WORDS if state != State.UNSEEN)
    compared = moved.by_checksum + moved.by_old_source
    if 2 * moved.differing > compared or others > moved.same or moved.total > moved.same == 0:
        listed = ", ".join(f"{counts[s]:,} {words}" for s, words in WORDS.items() if counts[s])
        into = f" ({compared:,} were looked into)" if compared else ""
        raise StoreError(
            f"{new}: holds other files than those in {dataset}: of {moved.total:,}{into}, {listed}"
            ". Nothing was changed."
        )


def _write(
    dataset: EmbeddingDataset, moved: MovedFiles, made: Provenance, bound: Provenance
) -> int:
    """Bind all parts, and return how many had to be written again."""
    count = 0
    with Replacement(dataset.folder) as replacement:
        for part in dataset.parts():
            rows, errors = read_part(part), dataset.errors_of(part.name)
            now = moved.rebound(part, rows)
            errors_now = None if errors is None else moved.rebound(part, errors)
            schema = with_source(rows.schema, bound.source)
            if now is rows and errors_now is errors and schema.metadata == rows.schema.metadata:
                continue
            now = now.replace_schema_metadata(schema.metadata)
            replacement.write(part.name, now, pa.table({}) if errors_now is None else errors_now)
            count += 1
        if count or made != bound:
            replacement.commit(bound)
    return count


def _show_progress(counts: Iterator[int]) -> None:
    """Say on standard error every ten seconds how many files were looked into."""
    said = time.monotonic()
    for count in counts:
        now = time.monotonic()
        if now - said >= LINE_SECONDS:
            said = now
            say(f"looked into {count:,} files", sys.stderr)


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN_NAMES
    shown_names = ", ".join(plain(redacted(name)) for name in names[:SHOWN_NAMES])
    return f"{shown_names} and {more:,} more" if more > 0 else shown_names
