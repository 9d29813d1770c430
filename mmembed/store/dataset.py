"""A dataset at a path or URL: its parts, their errors, its card and its lock.

Each file appears complete or not at all. A part file is the commit of its chunk of work: its
``_errors`` file is written first, and counts only once the part of the same name is there. Nothing
here knows spaces, media or where rows come from.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.errors.plain_text import reason
from mmembed.paths import Place, RemotePath, place
from mmembed.store.column_types import joined
from mmembed.store.dataset_files import (
    CARD,
    COMPACTION,
    ERRORS,
    PARTIAL,
    errors_folder,
    has_file,
    is_part_name,
    names_in,
    part_files,
    part_names,
    read_small_text,
    remove_files,
    replaced_parts,
)
from mmembed.store.lock import locked
from mmembed.store.part_file import Footer, open_part, read_footer, read_part_errors, write_parquet
from mmembed.store.provenance import Provenance
from mmembed.store.replacement import is_committed, settle
from mmembed.store.schema import ERROR_SCHEMA
from mmembed.store.whole_file import write_whole

NO_PARTS = "no part-*.parquet in it. Run `mmembed embed` first."


@dataclass(frozen=True)
class EmbeddingDataset:
    """A dataset, which need not be there yet; it holds nothing but its place, and can be pickled.

    Args:
        folder: where it is, on disk or at a URL; for reading, one part file will do.
    """

    folder: Place

    @classmethod
    def at(cls, path: str | Place) -> EmbeddingDataset:
        """Return the dataset at a path or URL.

        Raises:
            ConfigError: no file system is known for a URL.
        """
        return cls(place(path))

    def __str__(self) -> str:
        """Return its path, or its URL without options."""
        return str(self.folder)

    @property
    def is_remote(self) -> bool:
        """Whether it is at a URL, where no lock keeps other runs out."""
        return isinstance(self.folder, RemotePath)

    def parts(self, missing_ok: bool = False) -> list[Place]:
        """Return its part files in order of their names; a file is its own only part.

        Args:
            missing_ok: there are none where nothing is.

        Raises:
            StoreError: nothing there, it can't be listed, or a part is no regular file.
        """
        return [] if missing_ok and not self.folder.is_dir() else part_files(self.folder)

    def footers(self) -> list[Footer]:
        """Return the footer of each part, of one at least.

        Raises:
            StoreError: as :meth:`parts`; no part in it, or one that mmembed did not write.
        """
        parts = self.parts()
        if not parts:
            raise StoreError(f"{self}: {NO_PARTS}")
        return [read_footer(part) for part in parts]

    def has_column(self, name: str) -> bool:
        """Return whether the first part that can be read has a column of that name."""
        for part in self.parts():
            with suppress(OSError, pa.ArrowException), open_part(part) as file:
                return name in file.schema_arrow.names
        return False

    def errors_of(self, name: str) -> pa.Table | None:
        """Return the errors of the part of that name; None if it has none.

        Raises:
            StoreError: they can't be read.
        """
        return read_part_errors(self.folder, name)

    def errors(self) -> pa.Table:
        """Return the files that could not be embedded, and why, of ``ERROR_SCHEMA``.

        Raises:
            StoreError: no such dataset, or its errors can't be read.
        """
        parts = self.parts()
        if self.folder in parts:  # a part file, not a dataset
            return ERROR_SCHEMA.empty_table()
        there = set(names_in(errors_folder(self.folder)))
        errors = {n: self.errors_of(n) for n in (part.name for part in parts) if n in there}
        tables = {name: table for name, table in errors.items() if table is not None}
        if not tables:
            return ERROR_SCHEMA.empty_table()
        return joined(tables.values(), [str(self.folder / ERRORS / name) for name in tables])

    def card_text(self) -> str | None:
        """Return the text of ``_mmembed.json``; None if there is none.

        Raises:
            StoreError: it can't be read.
        """
        return read_small_text(self.folder / CARD)

    def card(self) -> Provenance | None:
        """Return the provenance in ``_mmembed.json``; None if there is none.

        Raises:
            StoreError: it can't be read.
        """
        text = self.card_text()
        return None if text is None else Provenance.from_json(text, str(self.folder / CARD))

    def write_card(self, made: Provenance) -> None:
        """Write ``_mmembed.json``.

        Raises:
            StoreError: the disk is full, or the folder can't be written to.
        """
        mark = f".{uuid.uuid4().hex}"  # shards that start at once all write it
        text = made.to_json() + "\n"
        write_whole(self.folder / CARD, lambda path: path.write_text(text, "utf-8"), mark)

    def provenance(self) -> Provenance | None:
        """Return the provenance that its card names; None if it has no parts yet.

        Raises:
            StoreError: a file or folder is there that is no dataset, or its files were being
                replaced when that was interrupted.
        """
        try:
            if not self.folder.exists():
                return None
            if not self.folder.is_dir():  # asked last: another run may make it just now
                raise StoreError(f"{self}: is a file, but the dataset is a folder")
            is_empty = all(path.name.startswith(".") for path in self.folder.iterdir())
        except OSError as error:
            raise StoreError(f"{self}: can't be looked at: {reason(error)}") from None
        if is_committed(self.folder):
            raise StoreError(
                f"{self}: was being bound to another source when that was interrupted. Any run "
                "that writes to it finishes that."
            )
        text = self.card_text()
        if text is None and not is_empty:
            raise StoreError(
                f"{self}: has files but no {CARD}, so it is no dataset. Name another folder."
            )
        return None if text is None or not self.parts() else self.card()

    def make(self) -> None:
        """Make its folder, if it is not there; at a URL there is nothing to make.

        Raises:
            StoreError: it can't be made.
        """
        if isinstance(self.folder, Path):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{self}: can't be made: {reason(error)}") from None

    def locked(self, share: str = "") -> AbstractContextManager[None]:
        """Keep other runs out while inside, as :func:`mmembed.store.lock.locked`.

        Raises:
            StoreError: another run is writing to it, or it can't be written to.
        """
        return locked(self.folder, share)

    def commit(self, name: str, rows: pa.Table, errors: pa.Table) -> Place:
        """Commit a chunk: write ``_errors/NAME`` (if there are any), then ``NAME`` itself.

        Args:
            name: ``part-<chunk>.parquet``.
            rows: as :func:`mmembed.store.rows.rows_table` returned them; may be empty.
            errors: a table of :data:`~mmembed.store.schema.ERROR_SCHEMA`.

        Raises:
            StoreError: the disk is full, or the folder can't be written to.
        """
        beside = errors_folder(self.folder)
        if len(errors):
            ordered = errors.sort_by([("path", "ascending"), ("modality", "ascending")])
            write_whole(beside / name, lambda path: write_parquet(ordered, path))
        write_whole(self.folder / name, lambda path: write_parquet(rows, path))
        if not len(errors):
            remove_files(beside, [name])
        return self.folder / name

    def remove(self, name: str) -> None:
        """Take a part and its errors out.

        Raises:
            StoreError: it can't be removed, or is no regular file of the folder.
        """
        for inside in (self.folder, errors_folder(self.folder)):
            if isinstance(inside, RemotePath) or has_file(inside / name):
                remove_files(inside, [name])

    def settle(self) -> None:
        """Finish a replacement of its files that was interrupted, if there is one.

        Raises:
            StoreError: another run is writing to it, or it can't be written to.
        """
        if (self.is_remote or os.path.isdir(str(self.folder))) and is_committed(self.folder):
            with self.locked():
                settle(self.folder)

    def remove_leftovers(self) -> None:
        """Remove the files that a killed run left: half-written ones, errors without their part.

        A compaction or a replacement that was interrupted is finished.

        Raises:
            StoreError: something can't be removed, or is no regular file of the folder.
        """
        self.finish_merge()
        settle(self.folder)
        beside = errors_folder(self.folder)
        for inside in (self.folder, beside):
            half = [n for n in names_in(inside) if n.startswith(".") and n.endswith(PARTIAL)]
            remove_files(inside, half)
        parts = set(part_names(self.folder))
        remove_files(beside, [n for n in names_in(beside) if is_part_name(n) and n not in parts])

    def note_merge(self, merged: str, replaced: Sequence[str]) -> None:
        """Note that the part ``merged``, once it is there, replaces the parts ``replaced``."""
        note = json.dumps({"merged": merged, "replaced": list(replaced)})
        write_whole(self.folder / COMPACTION, lambda path: path.write_text(note, "utf-8"))

    def finish_merge(self) -> None:
        """Remove the parts that a merged one replaces, if there is a note of it, then the note.

        Raises:
            StoreError: it is no note of parts of this dataset; then nothing is removed.
        """
        for name in replaced_parts(self.folder):
            self.remove(name)
        remove_files(self.folder, [COMPACTION])
