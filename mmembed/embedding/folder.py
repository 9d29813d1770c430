"""``embed``: what a user asks for, checked, and handed to a job and an engine."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmembed.data.decode import MAX_PIXELS
from mmembed.data.preprocess import AudioPreprocess, Preprocess, VideoPreprocess
from mmembed.embedding.engine import Engine, Limits
from mmembed.embedding.job import Job
from mmembed.embedding.listing import Listing, list_source
from mmembed.embedding.narrowing import ChecksumListing, Shard, ShardListing
from mmembed.embedding.progress import EmbedSummary
from mmembed.errors import ConfigError, ManifestError, VerdictError
from mmembed.media.pool import default_workers
from mmembed.options import seconds
from mmembed.space import Precision, Space, load_space, read_card
from mmembed.store.schema import Provenance, VectorType, row_schema


def embed(
    source: Path,
    out: Path,
    *,
    space: Path,
    precision: Precision = "fp32",
    segment: str | float | None = None,
    hop: str | float | None = None,
    with_sound: bool = False,
    allow_truncated: bool = False,
    vector_type: VectorType = "float32",
    checksum: bool = False,
    shard: str | None = None,
    dry_run: bool = False,
    retry_errors: bool = False,
    strict: bool = False,
    timeout: str | float = "60s",
    max_pixels: int = MAX_PIXELS,
    max_duration: str | float = "24h",
    memory_mb: int = 4096,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    chunk_files: int = 512,
) -> EmbedSummary:
    """Embed every image, sound and video of a folder or manifest into a Parquet dataset.

    Files that are in ``out`` already, with the same size and time, are left alone; the rows of
    files that changed or are gone are taken out.

    Args:
        source: a folder of media, or a manifest (Parquet, CSV, JSONL) that names them.
        out: the dataset; made if need be, continued if it is there.
        space: folder of the space that embeds.
        precision: ``fp32``, or ``bf16`` through autocast.
        segment: length of the spans that sounds and videos are cut into (``10s``, ``500ms``,
            ``1.5min``); None takes the space's own.
        hop: distance between the starts of two spans; None for ``segment``, if that is given,
            else the space's own.
        with_sound: embed the sound track of a video too, as audio rows of the same path.
        allow_truncated: take what there is of a sound or video that stops early, and say so in
            the column ``truncated``; it is an error otherwise.
        vector_type: ``float32``, ``float16``, or ``list`` for readers without fixed-size lists.
        checksum: tell changed files by a hash of their content, kept in the column ``checksum``,
            rather than by their time; every file is read in every run.
        shard: ``i/n``, the i-th of n shares of the source; all n may write to one dataset at once.
        dry_run: only say what would be done.
        retry_errors: try the files again that have an error.
        strict: fail, after all is written, if any file of the dataset has an error.
        timeout: longest time for decoding one file.
        max_pixels: most pixels of a picture or of a video's frame.
        max_duration: longest sound or video.
        memory_mb: most memory of a decode process, in MiB.
        batch_size: items a forward pass; None finds out what is fastest.
        workers: decode processes; 0 decodes in the main process; None takes one a core.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
        chunk_files: files a part file.

    Raises:
        ManifestError: no such source, or nothing in it.
        SpaceError: no such space.
        StoreError: ``out`` was made by another space, from another source or with other settings,
            or another run is writing to it.
        ConfigError: an option out of range.
        VerdictError: ``strict``, and there are errors.
    """
    started = time.monotonic()
    source, out = Path(source), Path(out)
    workers = default_workers() if workers is None else workers
    sizes = (1 if batch_size is None else batch_size, chunk_files, max_pixels, memory_mb)
    if min(sizes) < 1 or workers < 0:
        raise ConfigError(
            "--batch_size, --chunk_files, --max_pixels and --memory_mb must be positive, "
            "--workers not negative"
        )
    longest = seconds("--max_duration", max_duration)
    limits = Limits(seconds("--timeout", timeout), max_pixels, longest, memory_mb)
    segment_seconds = None if segment is None else seconds("--segment", segment)
    hop_seconds = segment_seconds if hop is None else seconds("--hop", hop)
    share = None if shard is None else Shard.parse(shard)
    card = read_card(space)
    listing = _listing(source, out, share, checksum)
    if with_sound and (listing.by_modality or "audio" not in card["encoders"]):
        raise ConfigError(_no_sound(listing, card["name"]))
    settings = {
        "precision": precision,
        "vector_type": vector_type,
        "segment_seconds": segment_seconds,
        "hop_seconds": hop_seconds,
        "with_sound": with_sound or None,
        "allow_truncated": allow_truncated or None,
        "checksum": checksum or None,
    }
    provenance = Provenance(
        card["fingerprint"], card["name"], card["dim"], os.path.abspath(listing.root), settings
    )
    schema = row_schema(provenance, listing.carried_types, vector_type)
    job = Job(out, listing, provenance, schema, share, checksum, retry_errors)
    if len(job.present) == 0 and share is None:
        raise ManifestError(f"{source}: no files in it")
    if dry_run:
        return job.plan()

    def engine() -> Engine:
        model = load_space(space, usable_device(device))
        preprocess = _segmented(model, segment_seconds, hop_seconds)
        return Engine(
            model, preprocess, precision, batch_size, workers, limits, allow_truncated, with_sound
        )

    summary = job.run(engine, chunk_files)
    summary.seconds = time.monotonic() - started
    if strict and summary.all_failed:
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
