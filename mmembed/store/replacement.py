"""Parts of a dataset and its card replaced at once: all or none, whatever interrupts it.

The new files are written beside the old ones, under hidden names. Then a note is written, and from
then on they count: they get the names of the old ones, and the note is removed. If that is
interrupted, the next run that writes to the dataset finishes it. Without the note it removes them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.errors.plain_text import reason
from mmembed.paths import Place
from mmembed.store.dataset_files import (
    CARD,
    NEW,
    REPLACEMENT,
    errors_folder,
    has_file,
    is_part_name,
    names_in,
    remove_files,
)
from mmembed.store.part_file import write_parquet
from mmembed.store.provenance import Provenance
from mmembed.store.whole_file import flush, move_over, write_whole


@dataclass(frozen=True)
class Replacement:
    """New files of a dataset, which count once they are committed.

    It is used in a ``with``, which removes them if something goes wrong before that.

    Args:
        folder: of the dataset; it is locked.
    """

    folder: Place

    def __enter__(self) -> Replacement:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(StoreError):  # what went wrong says more
                settle(self.folder)

    def write(self, name: str, rows: pa.Table, errors: pa.Table) -> None:
        """Write the new rows and errors of a part.

        Args:
            name: of the part.
            rows: of the part; may be empty.
            errors: of the part; empty only if it has none now.

        Raises:
            StoreError: the disk is full, or the folder can't be written to.
        """
        if len(errors):
            beside = errors_folder(self.folder)
            _write(beside / name, lambda path: write_parquet(errors, path))
        _write(self.folder / name, lambda path: write_parquet(rows, path))

    def commit(self, made: Provenance) -> None:
        """Put the new parts in the places of the old ones, and ``made`` in that of the card.

        Raises:
            StoreError: the disk is full, or the folder can't be written to.
        """
        text = made.to_json() + "\n"
        _write(self.folder / CARD, lambda path: path.write_text(text, "utf-8"))
        write_whole(self.folder / REPLACEMENT, lambda path: path.write_text("{}\n", "utf-8"))
        settle(self.folder)


def is_committed(folder: Place) -> bool:
    """Return whether new files count that do not all have their names yet.

    Raises:
        StoreError: a link, folder, pipe or device is in place of the note of it.
    """
    return has_file(folder / REPLACEMENT)


def settle(folder: Place) -> None:
    """Finish a replacement that was committed; remove the new files of one that was not.

    Raises:
        StoreError: something can't be moved or removed, or is no regular file of the folder.
    """
    committed = is_committed(folder)
    for inside in (folder, errors_folder(folder)):
        for name in names_in(inside):
            replaced = name[1 : -len(NEW)]
            is_new = name.startswith(".") and name.endswith(NEW)
            if not is_new or not (is_part_name(replaced) or replaced == CARD):
                continue
            if not committed:
                remove_files(inside, [name])
            elif has_file(inside / name):
                move_over(inside, name, replaced)
        if committed and isinstance(inside, Path) and inside.is_dir():
            try:
                flush(inside)
            except OSError as error:
                raise StoreError(f"{inside}: can't be written: {reason(error)}") from None
    remove_files(folder, [REPLACEMENT])


def _write(path: Place, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill the file that is to replace the one at ``path``."""
    write_whole(path.with_name(f".{path.name}{NEW}"), write)
