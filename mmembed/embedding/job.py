"""One run over a source: what is to do, doing it chunk by chunk, and the summary.

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

from mmembed.embedding.engines.chunk import Chunk, FilesDecoded, slices
from mmembed.embedding.engines.part_writer import Committed, PartWriter
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.changes import Past, apply, compare
from mmembed.embedding.plan.provenance import writing
from mmembed.embedding.plan.shard import Shard
from mmembed.embedding.progress import EmbedSummary, ProgressDisplay
from mmembed.errors import ManifestError
from mmembed.paths import Place, RemotePath
from mmembed.store.schema import Provenance
from mmembed.store.writer import remove_leftovers

Steps = Generator[FilesDecoded | Chunk | Committed, None, None]


class Engine(Protocol):
    """A way to embed chunks: this machine, or many."""

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
        out: the dataset.
        files: those of the source (or of one shard of it).
        provenance: what makes the dataset.
        schema: of its parts.
        shard: which share of the source ``files`` are, if not all of it.
        retry_errors: try the files again that have an error.
    """

    out: Place
    files: Catalog
    provenance: Provenance
    schema: pa.Schema
    shard: Shard | None = None
    retry_errors: bool = False

    def plan(self) -> EmbedSummary:
        """Return what a run would do, and write nothing.

        Raises:
            ManifestError: as :meth:`run`.
            StoreError: a part can't be read.
        """
        summary = self._summary(self._compare())
        summary.planned = True
        return summary

    def run(self, engine: Callable[[], Engine], chunk_files: int) -> EmbedSummary:
        """Bring the dataset up to date with its source.

        Args:
            engine: called once, and only if there is something to embed.
            chunk_files: files a part file.

        Raises:
            ManifestError: no file of the source can be read now, and the dataset has rows of some.
            StoreError: something else made the dataset, another run is writing to it, or the
                disk is full.
        """
        with writing(self.out, self.provenance, self.files.listing, self.shard):
            if self.shard is None:
                remove_leftovers(self.out)
            past = self._compare()
            apply(self.out, self.files, past, self.schema)
            summary = self._summary(past)
            if summary.to_do:
                write = PartWriter(self.out, self.schema, self.provenance.dim)
                working = engine()
                steps = working.run(self._chunks(past, chunk_files))
                with ProgressDisplay(summary) as display, closing(steps):
                    for step in steps:
                        if isinstance(step, FilesDecoded):
                            display.update(step.total)
                        else:
                            summary.add(write(step) if isinstance(step, Chunk) else step)
                summary.notes += working.notes()
                if isinstance(self.out, RemotePath):
                    self._take_out_what_is_twice()
        return summary

    def _take_out_what_is_twice(self) -> None:
        """Take out what another run wrote meanwhile: at a URL no lock keeps it out."""
        apply(self.out, self.files, compare(self.out, self.files), self.schema)

    def _chunks(self, past: Past, chunk_files: int) -> Iterator[Chunk]:
        for files in slices(self.files, past.done, chunk_files):
            yield Chunk(files, self.files.listing.carried([file.row for file in files]))

    def _compare(self) -> Past:
        past = compare(self.out, self.files, self.retry_errors)
        if not self.files.readable and past.loses_rows:
            raise ManifestError(
                f"{self.files.listing.source}: none of its {self.files.total:,} files is there, so "
                f"the rows in {self.out} are left as they are. If the files are gone for good, "
                "remove it."
            )
        return past

    def _summary(self, past: Past) -> EmbedSummary:
        return EmbedSummary(
            self.out,
            files=len(self.files),
            kept=len(past.done),
            kept_failed=past.failed,
            removed=past.removed,
            retried=past.retried,
            hidden=self.files.listing.hidden,
            repeated=self.files.listing.repeated,
            unseen=len(self.files.unseen),
            unseen_kept=past.unseen,
        )
