"""``embed``: what a user asks for, checked, and handed to a job and an engine."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmembed.data.preprocess import AudioPreprocess, Preprocess, VideoPreprocess
from mmembed.embedding.engine import Engine
from mmembed.embedding.job import Job
from mmembed.embedding.listing import Listing, list_source
from mmembed.embedding.narrowing import ChecksumListing, Shard, ShardListing
from mmembed.embedding.progress import EmbedSummary
from mmembed.embedding.settings import Limits, Machine, Pass, RowOptions, grouped
from mmembed.errors import ConfigError, ManifestError, VerdictError
from mmembed.space import Space, load_space, read_card
from mmembed.store.schema import Provenance, row_schema


def embed(source: Path, out: Path, *, space: Path, **options: Any) -> EmbedSummary:
    """Embed every image, sound and video of a folder or manifest into a Parquet dataset.

    Files that are in ``out`` already, with the same size and time, are left alone; the rows of
    files that changed or are gone are taken out.

    Args:
        source: a folder of media, or a manifest (Parquet, CSV, JSONL) that names them.
        out: the dataset; made if need be, continued if it is there.
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
    source: Path,
    out: Path,
    *,
    space: Path,
    rows: RowOptions,
    limits: Limits,
    machine: Machine,
    this: Pass,
) -> EmbedSummary:
    """Embed every image, sound and video of a folder or manifest into a Parquet dataset.

    Args:
        source: a folder of media, or a manifest (Parquet, CSV, JSONL) that names them.
        out: the dataset; made if need be, continued if it is there.
        space: folder of the space that embeds.
        rows: what the rows are.
        limits: what a file may take.
        machine: what of the machine is used.
        this: what this run is to do.
    """
    started = time.monotonic()
    source, out = Path(source), Path(out)
    share = None if this.shard is None else Shard.parse(this.shard)
    card = read_card(space)
    listing = _listing(source, out, share, rows.checksum)
    if rows.with_sound and (listing.by_modality or "audio" not in card["encoders"]):
        raise ConfigError(_no_sound(listing, card["name"]))
    root = os.path.abspath(listing.root)
    provenance = Provenance(card["fingerprint"], card["name"], card["dim"], root, rows.bound())
    schema = row_schema(provenance, listing.carried_types, rows.vector_type)
    job = Job(out, listing, provenance, schema, share, rows.checksum, this.retry_errors)
    if len(job.present) == 0 and share is None:
        raise ManifestError(f"{source}: no files in it")
    if this.dry_run:
        return job.plan()

    def engine() -> Engine:
        model = load_space(space, usable_device(machine.device))
        return Engine(
            model,
            _segmented(model, rows.segment_seconds, rows.hop_seconds),
            rows.precision,
            machine.batch_size,
            machine.decode_workers,
            limits,
            rows.allow_truncated,
            rows.with_sound,
        )

    summary = job.run(engine, this.chunk_files)
    summary.seconds = time.monotonic() - started
    if this.strict and summary.all_failed:
        message = f"--strict: {summary.all_failed:,} files have an error, see {out / '_errors'}"
        raise VerdictError(message, summary)
    return summary


def _listing(source: Path, out: Path, share: Shard | None, checksum: bool) -> Listing:
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


def usable_device(name: str) -> str:
    """Return the device that a user means; ``auto`` is a GPU if there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name}: {str(error).splitlines()[0]}") from None
    return name


def _segmented(
    space: Space, segment_seconds: float | None, hop_seconds: float | None
) -> Mapping[str, Preprocess]:
    """Return the space's preprocess with other segments where they are asked for."""
    changes = {"segment_seconds": segment_seconds, "hop_seconds": hop_seconds}
    given = {name: value for name, value in changes.items() if value is not None}
    found: dict[str, Preprocess] = {}
    for modality, preprocess in space.preprocess.items():
        if given and isinstance(preprocess, (AudioPreprocess, VideoPreprocess)):
            least = min(preprocess.min_seconds, segment_seconds or preprocess.segment_seconds)
            changed: Any = {**given, "min_seconds": least}
            preprocess = dataclasses.replace(preprocess, **changed)
        found[modality] = preprocess
    return found
