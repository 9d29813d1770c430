"""One run over a source: what is to do, doing it chunk by chunk, and the summary.

The dataset itself says what is done: a file is, if a part or its errors name it with the same
size and time. So an interrupted run goes on where it stopped, and a finished one has nothing left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from mmembed.embedding.binding import check_bound, writing
from mmembed.embedding.chunk import Chunk, slices
from mmembed.embedding.commit import Committed, PartWriter
from mmembed.embedding.listing import Listing
from mmembed.embedding.narrowing import Shard
from mmembed.embedding.past import Index, Past, apply, compare, index
from mmembed.embedding.progress import EmbedSummary, ProgressDisplay
from mmembed.storage import Place, RemotePath
from mmembed.store.schema import Provenance
from mmembed.store.writer import remove_leftovers


class Engine(Protocol):
    """What embeds chunks: this machine, or many."""

    def run(
        self,
        chunks: Iterable[Chunk],
        write: Callable[[Chunk], Committed],
        done: Callable[[Committed], None],
        show: Callable[[int], None],
    ) -> None:
        """Give every file of every chunk its vectors or its problem, and write it.

        Args:
            chunks: taken one by one, no sooner than needed.
            write: called once a chunk, when all of its files have a result; perhaps in another
                process.
            done: called here with what ``write`` returned.
            show: called here with the number of files decoded so far.
        """

    def notes(self) -> list[str]:
        """Return lines for the summary on how the chunks were embedded."""


@dataclass
class Job:
    """The way of one source into one dataset.

    Args:
        out: the dataset.
        listing: the files of the source (or of one shard of it).
        provenance: what makes the dataset.
        schema: of its parts.
        shard: which share of the source ``listing`` is, if it is not all of it.
        by_checksum: tell changed files by their content.
        retry_errors: try the files again that have an error.

    Attributes:
        present: the files that the listing has now.
    """

    out: Place
    listing: Listing
    provenance: Provenance
    schema: pa.Schema
    shard: Shard | None = None
    by_checksum: bool = False
    retry_errors: bool = False
    present: Index = field(init=False)

    def __post_init__(self) -> None:
        self.present = index(self.listing, self.by_checksum)

    def plan(self) -> EmbedSummary:
        """Return what a run would do, and write nothing.

        Raises:
            StoreError: something else made the dataset.
        """
        check_bound(self.out, self.provenance)
        summary = self._summary(self._compare(self.retry_errors))
        summary.planned = True
        return summary

    def run(self, engine: Callable[[], Engine], chunk_files: int) -> EmbedSummary:
        """Bring the dataset up to date with its source.

        Args:
            engine: called once, and only if there is something to embed.
            chunk_files: files a part file.

        Raises:
            StoreError: something else made the dataset, another run is writing to it, or the
                disk is full.
        """
        with writing(self.out, self.provenance, self.shard):
            if self.shard is None:
                remove_leftovers(self.out)
            past = self._compare(self.retry_errors)
            apply(self.out, self.listing, self.present, past, self.schema)
            summary = self._summary(past)
            if summary.to_do:
                write = PartWriter(self.out, self.schema, self.provenance.dim)
                working = engine()
                with ProgressDisplay(summary) as display:
                    chunks = self._chunks(past, chunk_files)
                    working.run(chunks, write, summary.add, display.update)
                summary.notes += working.notes()
                if isinstance(self.out, RemotePath):
                    self._take_out_what_is_twice()
        return summary

    def _take_out_what_is_twice(self) -> None:
        """Take out what another run wrote meanwhile: at a URL no lock keeps it out."""
        apply(self.out, self.listing, self.present, self._compare(False), self.schema)

    def _chunks(self, past: Past, chunk_files: int) -> Iterator[Chunk]:
        for files in slices(self.listing, past.done, chunk_files):
            yield Chunk(files, self.listing.carried([file.row for file in files]))

    def _compare(self, retry_errors: bool) -> Past:
        return compare(
            self.out,
            self.listing,
            self.present,
            retry_errors=retry_errors,
            by_checksum=self.by_checksum,
            owns=None if self.shard is None else self.shard.owns,
        )

    def _summary(self, past: Past) -> EmbedSummary:
        return EmbedSummary(
            self.out,
            found=len(self.present),
            kept=len(past.done),
            kept_failed=past.failed,
            removed=past.removed,
            retried=past.retried,
            hidden=self.listing.hidden,
            repeated=self.listing.repeated,
        )
