"""A source that was moved or copied: its listing in the new place, and what is left in the old."""

from __future__ import annotations

import os
from pathlib import Path

from mmembed.embedding.plan.changes import read_without_vectors
from mmembed.embedding.plan.listing import Listing, list_source
from mmembed.embedding.plan.provenance import OF_MANIFESTS
from mmembed.embedding.plan.shard import checksum
from mmembed.errors import ConfigError, StoreError
from mmembed.media.file_names import NameFilter
from mmembed.media.folder import is_folder
from mmembed.media.source_file import File, remote_status, status
from mmembed.paths import Place, RemotePath, is_url, place
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance


def moved_listing(dataset: EmbeddingDataset, made: Provenance, new: Place) -> Listing:
    """Return the listing of a dataset's source in its new place.

    Args:
        dataset: of which fields and globs are taken.
        made: its provenance.
        new: the folder, or the manifest if the dataset is of one.

    Raises:
        ManifestError: there is no such source, or the manifest can't be read.
        StoreError: it is a folder and the dataset is of a manifest, or the other way round.
    """
    of_manifest = dataset.has_column(OF_MANIFESTS)
    if is_folder(new) == of_manifest:
        old, other = ("manifest", "a folder") if of_manifest else ("folder", "no folder")
        raise StoreError(
            f"{dataset}: holds the vectors of a {old}, {made.source}, but {new} is {other}. Name "
            f"that {old} in its new place."
        )
    fields: dict[str, str] = {}
    for part in dataset.parts() if of_manifest else ():
        for table in read_without_vectors(part):
            named = "field" if "field" in table.column_names else "modality"
            kinds = table[named].to_pylist(), table["modality"].to_pylist()
            fields |= {field: kind for field, kind in {*zip(*kinds, strict=True)} if field and kind}
    settings = made.settings or {}
    globs = (settings.get(name) for name in ("include", "exclude"))
    names = NameFilter(*(None if glob is None else str(glob) for glob in globs))
    return list_source(new, dataset.folder, fields, names)


class OldSource:
    """The source that files were moved from, as far as it is there still.

    Args:
        root: the folder that its paths are relative to.
        new_root: that of the source that they were moved to.
    """

    def __init__(self, root: Place, new_root: Place) -> None:
        self._root, self._new_root = root, new_root

    def checksum(self, moved: File, mtime_ns: int | None) -> str | None:
        """Return a hash of what a file held when it was embedded.

        Args:
            moved: the file in its new place.
            mtime_ns: when it had changed last, when it was embedded.

        Returns:
            None if it can't be read there, or has another size or time now.
        """
        try:
            old = self._status(moved)
            if old.location == moved.location or old.size != moved.size:
                return None
            return checksum(old.location) if old.mtime_ns == mtime_ns else None
        except Exception:  # at a URL, fsspec hands on whatever its packages raise
            return None

    def _status(self, moved: File) -> File:
        below = _below(moved, self._new_root)
        if isinstance(self._root, RemotePath):
            location = self._root / below
            return remote_status(moved.path, location, location.info())
        return status(moved.path, os.path.join(self._root, below))


def old_source(made: Provenance, listing: Listing, given: str | None) -> OldSource | None:
    """Return the source that media were moved from; None if it is not there, or is the new one.

    Which servers are asked is not for a dataset to say, so a URL has to be given.

    Args:
        made: provenance of the dataset, which names its source.
        listing: of the new source.
        given: a path or URL that counts instead.

    Raises:
        ManifestError: there is no such source as the one given, or it can't be looked at.
        ConfigError: it is the new one.
    """
    if given is not None:
        old = place(given)
        is_folder(old)  # refused if it is not there
    elif is_url(made.source) or not os.path.isabs(made.source):
        return None
    else:
        old = Path(made.source)
    if listing.by_field and not _is_dir(old):
        old = old.parent
    if not _is_dir(old):
        return None
    if not _are_one(old, listing.root):
        return OldSource(old, listing.root)
    if given is not None:
        raise ConfigError("is the new source itself", "old_source", given)
    return None


def _is_dir(path: Place) -> bool:
    return path.is_dir() if isinstance(path, RemotePath) else os.path.isdir(path)


def _are_one(root: Place, other: Place) -> bool:
    if isinstance(root, RemotePath) or isinstance(other, RemotePath):
        return root == other
    return os.path.realpath(root) == os.path.realpath(other)


def _below(file: File, root: Place) -> str:
    """Return the path of a file below the root, with the bytes that its name has on the disk."""
    if isinstance(file.location, RemotePath):
        text, top = file.location.path, root.path if isinstance(root, RemotePath) else str(root)
    else:
        text, top = file.location, str(root)
    prefix = os.path.join(top, "") if top else ""
    return text[len(prefix) :] if text.startswith(prefix) else file.path
