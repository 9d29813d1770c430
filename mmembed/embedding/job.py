"""One run over a source: the plan of what is to do, the work chunk by chunk, and the summary.

A run accounts for the files of one walk: each has rows or an error afterwards. The dataset itself
says what is done: a file is, if a part or its errors name it with the same size and time. So an
interrupted run goes on where it stopped, and a finished one has nothing left.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from mmembed.embedding.engines.chunk import Chunk, DecodedSoFar, slices
from mmembed.embedding.engines.part_writer import Committed, PartWriter
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.changes import Changes, apply_changes, find_changes
from mmembed.embedding.plan.provenance import record_revision, writing
from mmembed.embedding.plan.revision_check import add_versions, versions_note
from mmembed.embedding.plan.shard import Shard
from mmembed.embedding.progress import EmbedSummary, ProgressDisplay
from mmembed.errors import ManifestError
from mmembed.media.decode_revision import decoder_versions
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance

Steps = Generator[DecodedSoFar | Chunk | Committed, None, None]


class Engine(Protocol):
    """An engine that embeds chunks, on this machine or on many."""

    def run(self, chunks: Iterable[Chunk]) -> Steps:
        """Yield what was finished: every file of every chunk gets its vectors or its problem.

        Args:
            chunks: taken one by one, no sooner than needed.

        Returns:
            The number of files decoded so far, now and then; and of each chunk, in any order,
            either itself, to be written before the next is asked for, or what came of it, if it
            was written on another machine. Closing the iterator ends all that was started.
        """

    def notes(self) -> list[str]:
        """Return lines for the summary on how the chunks were embedded."""


@dataclass
class Job:
    """The way of one source into one dataset.

    Args:
        dataset: where to.
        files: those of the source (or of one shard of it).
        provenance: what makes the dataset.
        schema: of its parts.
        shard: which share of the source ``files`` are, if not all of it.
        retry_errors: try the files again that have an error.
        upgrade: embed the files anew whose rows another decode revision made.
    """

    dataset: EmbeddingDataset
    files: Catalog
    provenance: Provenance
    schema: pa.Schema
    shard: Shard | None = None
    retry_errors: bool = False
    upgrade: bool = False

    def plan(self) -> EmbedSummary:
        """Return the summary of what a run would do, and write nothing.

        Raises:
            ManifestError: as :meth:`run`.
            StoreError: a part can't be read, or another decode revision made its rows.
        """
        changes = self._changes()
        summary = self._summary(changes)
        summary.planned = True
        return summary

    def run(self, engine: Callable[[], Engine], chunk_files: int) -> EmbedSummary:
        """Bring the dataset up to date with its source.

        Args:
            engine: called once, and only if there is something to embed.
            chunk_files: files a part file.

        Raises:
            ManifestError: no file of the source can be read now, and the dataset has rows of some.
            StoreError: something else made the dataset, another decode revision its rows, another
                run is writing to it, or the disk is full.
        """
        dataset = self.dataset
        with writing(dataset, self.provenance, self.files.listing, self.shard):
            if self.shard is None:
                dataset.remove_leftovers()
            changes = self._changes()
            apply_changes(dataset, self.files, changes, self.schema)
            record_revision(dataset, self.provenance)
            summary = self._summary(changes)
            if summary.to_do:
                write = PartWriter(dataset, self.schema, self.provenance.dim)
                working = engine()
                steps = working.run(self._chunks(changes, chunk_files))
                with ProgressDisplay(summary) as display, closing(steps):
                    for step in steps:
                        if isinstance(step, DecodedSoFar):
                            display.update(step)
                        else:
                            summary.add(write(step) if isinstance(step, Chunk) else step)
                summary.notes += working.notes()
                add_versions(changes.libraries, decoder_versions())
                if dataset.is_remote:
                    self._take_out_what_is_twice()
            summary.notes += versions_note(changes.libraries)
        return summary

    def _take_out_what_is_twice(self) -> None:
        """Take out what another run wrote meanwhile: at a URL no lock keeps it out."""
        apply_changes(self.dataset, self.files, self._find(), self.schema)

    def _chunks(self, changes: Changes, chunk_files: int) -> Iterator[Chunk]:
        for files in slices(self.files, changes.done, chunk_files):
            yield Chunk(files, self.files.listing.carried([file.row for file in files]))

    def _find(self, retry_errors: bool = False) -> Changes:
        return find_changes(
            self.dataset,
            self.files,
            self.provenance,
            retry_errors=retry_errors,
            upgrade=self.upgrade,
        )

    def _changes(self) -> Changes:
        changes = self._find(self.retry_errors)
        if not self.files.readable and changes.loses_rows:
            raise ManifestError(
                f"{self.files.listing.source}: none of its {self.files.total:,} files is there, so "
                f"the rows in {self.dataset} are left as they are. If the files are gone for good, "
                "remove it."
            )
        return changes

    def _summary(self, changes: Changes) -> EmbedSummary:
        return EmbedSummary(
            self.dataset.folder,
            files=len(self.files),
            kept=len(changes.done),
            kept_failed=changes.failed,
            removed=changes.removed,
            retried=changes.retried,
            upgraded=changes.upgraded,
            hashed=changes.hashed,
            hidden=self.files.listing.passed_by.hidden,
            system=self.files.listing.passed_by.system,
            unwanted=self.files.listing.passed_by.unwanted,
            repeated=self.files.listing.repeated,
            unseen=len(self.files.unseen),
            unseen_kept=changes.unseen,
            notes=[*self.files.listing.notes],
        )
