"""Binding a dataset to one space, one source, one way of cutting, and one run at a time.

Its source is the folder, or the manifest itself: another manifest beside it names other files. In
older datasets the folder stands for whichever of its manifests was embedded; one that names all of
the dataset's files continues it, and is its source from then on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from mmembed.embedding.plan.changes import read_without_vectors
from mmembed.embedding.plan.listing import Listing, ManifestListing
from mmembed.embedding.plan.shard import Shard
from mmembed.errors import StoreError
from mmembed.media.decode_revision import package_versions
from mmembed.paths import Place, RemotePath
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance

Settings = Mapping[str, str | int | float | None] | None
OF_MANIFESTS = "sample_id"  # a column that every part of a manifest has, and none of a folder


def source_text(source: Place) -> str:
    """Return a source as a dataset names it: an absolute path, or a URL."""
    if isinstance(source, RemotePath):
        return str(source)
    absolute, real = os.path.abspath(source), os.path.realpath(source)
    return absolute if os.path.realpath(absolute) == real else real  # a link before a ``..``


def agreed_provenance(
    dataset: EmbeddingDataset, provenance: Provenance, listing: Listing
) -> Provenance:
    """Return the provenance of the parts that are written now.

    That is ``provenance``, with the source spelled as the dataset does already.

    Raises:
        StoreError: it is no dataset, or another space, source or setting made it.
    """
    made = dataset.provenance()
    return provenance if made is None else _agreed(dataset, made, provenance, listing)


@contextmanager
def writing(
    dataset: EmbeddingDataset, provenance: Provenance, listing: Listing, shard: Shard | None = None
) -> Iterator[None]:
    """Bind a dataset to what makes it, and keep other runs out of it meanwhile.

    Shards of one source may write to one dataset at the same time, each once. The lock ends with
    the process, however that ends.

    Raises:
        StoreError: another run is writing to it, or something else made it.
    """
    dataset.make()
    with dataset.locked("" if shard is None else f"{shard.index}-of-{shard.count}"):
        made = dataset.provenance()
        if made is None:
            dataset.write_card(replace(provenance, libraries=package_versions()))
        else:
            agreed = _agreed(dataset, made, provenance, listing)
            settings = _with_checksum(made.settings, agreed.settings)
            if made.source != agreed.source or dict(made.settings or {}) != settings:
                dataset.write_card(replace(made, source=agreed.source, settings=settings))
        yield


def record_revision(dataset: EmbeddingDataset, provenance: Provenance) -> None:
    """Name the decode revision of this run in the card of the dataset, if it is another.

    Raises:
        StoreError: the disk is full, or the folder can't be written to.
    """
    made = dataset.card()
    now = provenance.decode_revision or {}
    if made is not None and any(made.revision_of(kind) != now[kind] for kind in now):
        dataset.write_card(replace(made, decode_revision=now, libraries=package_versions()))


def _agreed(
    out: EmbeddingDataset, made: Provenance, now: Provenance, listing: Listing
) -> Provenance:
    if made.fingerprint != now.fingerprint:
        raise StoreError(
            f"{out}: made by space {made.space} ({made.fingerprint[:8]}), not by "
            f"{now.space} ({now.fingerprint[:8]}). Name another folder, or remove "
            "this one."
        )
    source = _agreed_source(out, made.source, now.source, listing)
    before, asked = _with_checksum(made.settings, now.settings), dict(now.settings or {})
    for name in sorted({*before, *asked}):
        if before.get(name) != asked.get(name):
            raise StoreError(
                f"{out}: made {_said(name, before)}, not {_said(name, asked)}. "
                "Give the same, or name another folder."
            )
    return replace(now, source=source)


def _with_checksum(before: Settings, asked: Settings) -> dict[str, str | int | float | None]:
    """Return the settings of a dataset; that files are told apart by checksums may be new."""
    settings = dict(before or {})
    if (asked or {}).get("checksum"):
        settings["checksum"] = (asked or {})["checksum"]
    return settings


def _agreed_source(out: EmbeddingDataset, made: str, now: str, listing: Listing) -> str:
    """Return the source of a dataset from now on, spelled as before if it is the same."""
    if isinstance(listing, ManifestListing):
        folder = source_text(listing.root)
        if made == now or (_same(made, now) and _same(os.path.dirname(made), folder)):
            return made
        if _same(made, folder) and out.has_column(OF_MANIFESTS):
            _check_names_all(out, listing, now)
            return now
    elif _same(made, now):
        if out.has_column(OF_MANIFESTS):
            raise StoreError(
                f"{out}: holds the vectors of a manifest in {made}, not of the folder itself. "
                "Name that manifest, or another folder for the dataset."
            )
        return made
    raise StoreError(f"{out}: holds the vectors of {made}, not of {now}. Name another folder.")


def _same(made: str, now: str) -> bool:
    """Return whether two texts name one file or folder; links to it do."""
    if made == now:
        return True
    remote = "://" in made or "://" in now
    return not remote and os.path.realpath(made) == os.path.realpath(now)


def _check_names_all(out: EmbeddingDataset, listing: ManifestListing, now: str) -> None:
    """Refuse a manifest that would take out rows of an older dataset, which may be another's."""
    named, others = listing.paths(), set[str]()
    for part in out.parts():
        for table in read_without_vectors(part):
            others |= {path for path in table["path"].to_pylist() if path not in named}
    if others:
        raise StoreError(
            f"{out}: made from a manifest beside {now}, which may be another: it does not name "
            f"{len(others):,} of the dataset's files, such as {min(others)}. Go on with the "
            "manifest that made it, as it was then, or name another folder."
        )


def _said(name: str, settings: Mapping[str, object]) -> str:
    value = settings.get(name)
    return f"without {name}" if value is None else f"with {name} {value}"
