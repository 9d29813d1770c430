"""The check that all rows of a modality are of one decode revision, and the libraries' versions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import FIRST_REVISION, Provenance


class RevisionCheck:
    """The decode revisions of the rows that stay in a dataset, compared with those of today.

    Args:
        now: provenance of the rows that are embedded now.
        upgrade: rows of another decode revision are embedded anew, where their files can be seen.

    Attributes:
        libraries: by name, the versions of libraries that decoded the rows that stay.
    """

    def __init__(self, now: Provenance, upgrade: bool) -> None:
        self._now, self._upgrade = now, upgrade
        self._old: dict[str, int] = {}  # revision of rows that stay, by modality
        self._blocked: list[str] = []  # paths of files that should be embedded anew and can't
        self.libraries: dict[str, set[str]] = {}

    def differs(self, made: Provenance | None, table: pa.Table) -> np.ndarray:
        """Return which rows of a part or its errors another revision decoded, bool ``(rows,)``.

        Args:
            made: provenance of the part.
            table: with a column ``modality``.
        """
        kinds = table["modality"].unique().to_pylist()
        old = {kind for kind in kinds if kind and _revision(made, kind) != self._revision(kind)}
        if not old:
            return np.zeros(len(table), bool)
        return np.fromiter((kind in old for kind in table["modality"].to_pylist()), bool)

    def keep(
        self, made: Provenance | None, rows: pa.Table, stays: np.ndarray, old: np.ndarray
    ) -> None:
        """Take note of the rows of a part that stay.

        Args:
            made: provenance of the part.
            rows: all of its rows.
            stays: which of them stay, bool ``(rows,)``.
            old: which of those another revision decoded, and this run is to embed anew if any.
        """
        if stays.any():
            add_versions(self.libraries, (made and made.libraries) or {})
        if not old.any():
            return
        left = rows.filter(pa.array(old))
        if self._upgrade:
            self._blocked += left["path"].to_pylist()
        for kind in left["modality"].unique().to_pylist():
            self._old[kind] = _revision(made, kind)

    def refuse(self, dataset: EmbeddingDataset) -> None:
        """Refuse to add rows to those that another revision decoded.

        Raises:
            StoreError: such rows stay, as no upgrade was asked for, or their files can't be seen.
        """
        if self._blocked:
            raise StoreError(
                f"{dataset}: {len(set(self._blocked)):,} files that have to be embedded anew can't "
                f"be seen now, such as {min(self._blocked)}; nothing was changed. Make them "
                "readable, or name another folder."
            )
        if self._old:
            old = ", ".join(
                f"{one_line(kind)} by revision {revision}, now {self._revision(kind)}"
                for kind, revision in sorted(self._old.items())
            )
            raise StoreError(
                f"{dataset}: its files were decoded otherwise than they are now ({old}), and "
                "their vectors can't be mixed. Name another folder, or embed those files again.",
                advice="upgrade",
            )

    def _revision(self, kind: str) -> int:
        return self._now.revision_of(kind)


def add_versions(libraries: dict[str, set[str]], versions: Mapping[str, str]) -> None:
    """Add versions of libraries to those seen so far, by name."""
    for name, version in versions.items():
        libraries.setdefault(name, set()).add(version)


def versions_note(libraries: Mapping[str, set[str]]) -> list[str]:
    """Return a line for the summary if rows were decoded by several versions of a library."""
    several = [
        f"{one_line(name)} ({', '.join(sorted(map(one_line, versions)))})"
        for name, versions in sorted(libraries.items())
        if len(versions) > 1
    ]
    if not several:
        return []
    return [
        f"decoded by several versions of {', '.join(several)}: vectors of one file may differ "
        "slightly between parts"
    ]


def _revision(made: Provenance | None, kind: str) -> int:
    return FIRST_REVISION if made is None else made.revision_of(kind)
