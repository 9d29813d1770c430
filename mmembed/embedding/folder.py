"""``embed``: what a user asks for, checked, and handed to a job and an engine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from mmembed.card import read_card
from mmembed.embedding.job import Engine, Job
from mmembed.embedding.listing import Listing, list_source
from mmembed.embedding.narrowing import ChecksumListing, Shard, ShardListing
from mmembed.embedding.progress import EmbedSummary
from mmembed.embedding.settings import Limits, Machine, Pass, RowOptions, grouped
from mmembed.errors import ConfigError, ManifestError, VerdictError
from mmembed.storage import Place, RemotePath, place
from mmembed.store.schema import Provenance, row_schema


def embed(
    source: str | Path, out: str | Path, *, space: str | Path, **options: Any
) -> EmbedSummary:
    """Embed every image, sound and video of a folder or manifest into a Parquet dataset.

    Files that are in ``out`` already, with the same size and time, are left alone; the rows of
    files that changed or are gone are taken out.

    Args:
        source: a folder of media, or a manifest (Parquet, CSV, JSONL) that names them; a path, or a
            URL such as ``s3://bucket/folder``.
        out: the dataset, at a path or URL; made if need be, continued if it is there.
        space: folder of the space that embeds.
        options: any field of :class:`~mmembed.embedding.settings.RowOptions`,
            :class:`~mmembed.embedding.settings.Limits`,
            :class:`~mmembed.embedding.settings.Machine` and
            :class:`~mmembed.embedding.settings.Pass`, such as ``workers=4``.

    Raises:
        ManifestError: no such source, or nothing in it.
        SpaceError: no such space.
        StoreError: ``out`` was made by another space, from another source or with other settings,
            or another run is writing to it.
        ConfigError: no such option, or one out of range.
        VerdictError: ``strict``, and there are errors.
    """
    return embed_as(source, out, space=space, **grouped(options))


def embed_as(
    source: str | Path,
    out: str | Path,
    *,
    space: str | Path,
    rows: RowOptions,
    limits: Limits,
    machine: Machine,
    this: Pass,
) -> EmbedSummary:
    """Embed every image, sound and video of a folder or manifest into a Parquet dataset.

    Args:
        source: a folder of media, or a manifest (Parquet, CSV, JSONL) that names them; a path, or a
            URL such as ``s3://bucket/folder``.
        out: the dataset, at a path or URL; made if need be, continued if it is there.
        space: folder of the space that embeds.
        rows: what the rows are.
        limits: what a file may take.
        machine: what of the machine is used.
        this: what this run is to do.
    """
    started = time.monotonic()
    media, dataset = place(source), place(out)
    share = None if this.shard is None else Shard.parse(this.shard)
    card = read_card(space)
    listing = _listing(media, dataset, share, rows.checksum)
    if rows.with_sound and (listing.by_modality or "audio" not in card["encoders"]):
        raise ConfigError(_no_sound(listing, card["name"]))
    root = listing.root
    named = str(root) if isinstance(root, RemotePath) else os.path.abspath(root)
    provenance = Provenance(card["fingerprint"], card["name"], card["dim"], named, rows.bound())
    schema = row_schema(provenance, listing.carried_types, rows.vector_type)
    job = Job(dataset, listing, provenance, schema, share, rows.checksum, this.retry_errors)
    if len(job.present) == 0 and share is None:
        raise ManifestError(f"{source}: no files in it")
    if this.dry_run:
        return job.plan()

    def engine() -> Engine:  # torch, or Ray: only where there is work
        if machine.engine == "ray":
            from mmembed.embedding.ray_engine import RayEngine

            return RayEngine(space, rows, limits, machine, root, dataset)
        from mmembed.embedding.local import local_engine

        return local_engine(space, rows, limits, machine)

    summary = job.run(engine, this.chunk_files)
    summary.seconds = time.monotonic() - started
    if this.strict and summary.all_failed:
        message = f"--strict: {summary.all_failed:,} files have an error, see {dataset / '_errors'}"
        raise VerdictError(message, summary)
    return summary


def _listing(source: Place, out: Place, share: Shard | None, checksum: bool) -> Listing:
    listing = list_source(source, out)
    if share is not None:
        listing = ShardListing(listing, share)
    return ChecksumListing(listing) if checksum else listing


def _no_sound(listing: Listing, space: str) -> str:
    if listing.by_modality:
        return (
            "--with_sound: is for folders. In a manifest, name the video in the audio column too."
        )
    return f"--with_sound: space {space} has no encoder for audio"
