"""``embed``: the request of a user, checked, and handed to a job and an engine."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmembed.embedding.job import Engine, Job
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.listing import Listing, list_source
from mmembed.embedding.plan.provenance import agreed_provenance, source_text
from mmembed.embedding.plan.shard import Shard
from mmembed.embedding.progress import EmbedSummary
from mmembed.embedding.settings import Limits, Machine, Pass, RowOptions, grouped
from mmembed.errors import ConfigError, ManifestError, VerdictError
from mmembed.media.decode_revision import DECODE_REVISION
from mmembed.media.source_file import printable
from mmembed.modality import any_in_cells
from mmembed.paths import place
from mmembed.space.space_json import chosen_fields, read_card, trusted_packages
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.schema import row_schema


def embed(
    source: str | Path, out: str | Path, *, space: str | Path, **options: Any
) -> EmbedSummary:
    """Embed every image, sound, video and text of a folder or manifest into a Parquet dataset.

    Files that are in ``out`` already, with the same size and time, are left alone; the rows of
    files that changed or are gone are taken out. What can't be seen now, such as a folder that
    can't be listed, is not gone: its rows stay.

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
        ManifestError: no such source, it can't be listed, or nothing in it can be read.
        SpaceError: no such space.
        StoreError: ``out`` was made by another space, from another source, with other settings or
            by another decode revision, or another run is writing to it.
        ConfigError: no such option, or one out of range.
        VerdictError: ``strict``, and there are errors, or files that can't be seen.
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
    """Embed every image, sound, video and text of a folder or manifest into a Parquet dataset.

    Args:
        source: a folder of media, or a manifest (Parquet, CSV, JSONL) that names them; a path, or a
            URL such as ``s3://bucket/folder``.
        out: the dataset, at a path or URL; made if need be, continued if it is there.
        space: folder of the space that embeds.
        rows: settings of the rows.
        limits: of one file.
        machine: the use of the machine.
        this: the work of this run.
    """
    started = time.monotonic()
    media, dataset = place(source), place(out)
    if not _is_text(str(out)):
        raise ConfigError(f"{printable(str(out))}: the dataset's path has to be valid UTF-8")
    share = None if this.shard is None else Shard.parse(this.shard)
    card = read_card(space, trusted_packages(machine.trust))
    fields = chosen_fields(card["fields"], rows.field)
    listing = list_source(media, dataset, fields, rows.names, rows.label_separator)
    if not listing.by_field:
        _check_one_a_kind(fields, card["name"])
    if rows.with_sound and (listing.by_field or "audio" not in fields.values()):
        raise ConfigError(_no_sound(listing, card["name"]), "with_sound")
    named = source_text(listing.source)
    asked = Provenance(
        card["fingerprint"],
        card["name"],
        card["dim"],
        named,
        rows.bound(),
        decode_revision=dict(DECODE_REVISION),
    )
    into = EmbeddingDataset(dataset)
    if not this.dry_run:
        into.settle()
    provenance = agreed_provenance(into, asked, listing)
    with_cells = any_in_cells(fields.values())
    schema = row_schema(provenance, listing.carried_types, rows.vector_type, with_cells=with_cells)
    files = Catalog(listing, share, rows.checksum)
    if files.total == 0:
        passed = listing.passed_by
        skipped = passed.hidden + passed.system + passed.unwanted
        but = f" but {skipped:,} names that are skipped" if skipped else ""
        raise ManifestError(f"{source}: no files in it{but}")
    job = Job(into, files, provenance, schema, share, this.retry_errors, this.upgrade)
    if this.dry_run:
        return job.plan()

    def engine() -> Engine:  # torch, or Ray: only where there is work
        if machine.engine == "ray":
            from mmembed.embedding.engines.part_writer import PartWriter
            from mmembed.embedding.engines.ray import RayEngine

            write = PartWriter(into, schema, provenance.dim)
            return RayEngine(space, rows, limits, machine, listing.root, write)
        if machine.decode_workers:
            from mmembed.decoding.queue import start_ahead

            start_ahead()  # gets ready while this process imports torch
        with _collector_paused():
            from mmembed.embedding.engines.local import local_engine

            return local_engine(space, rows, limits, machine)

    summary = job.run(engine, this.chunk_files)
    summary.seconds = time.monotonic() - started
    if this.strict and (summary.all_failed or summary.unseen):
        message = f"{summary.all_failed:,} files have an error, see {dataset / '_errors'}"
        if not summary.all_failed:
            message = f"{summary.unseen:,} files or folders could not be seen"
        raise VerdictError(message, summary, "strict")
    return summary


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python from looking for garbage among the many objects of an import."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_one_a_kind(fields: Mapping[str, str], space: str) -> None:
    """Refuse to guess which field a file of a folder is for."""
    for kind in fields.values():
        names = [name for name, other in fields.items() if other == kind]
        if len(names) > 1:
            raise ConfigError(
                f"space {space} takes {kind} in {', '.join(names)}: name one of them", "field"
            )


def _no_sound(listing: Listing, space: str) -> str:
    if listing.by_field:
        return "is for folders. In a manifest, name the video in the audio column too."
    return f"space {space} has no encoder for audio"
