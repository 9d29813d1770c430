"""The whole of a folder or manifest to a dataset: what is to do, doing it, and the summary.

The dataset itself says what is done: a file is, if a part or its errors name it with the same
size and time. So an interrupted run goes on where it stopped, and a finished one has nothing left.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mmembed.data.preprocess import AudioPreprocess, Preprocess, VideoPreprocess
from mmembed.embedding.chunk import Chunk, slices
from mmembed.embedding.engine import Engine
from mmembed.embedding.listing import FolderListing, Listing, file_key, list_source
from mmembed.embedding.progress import EmbedSummary, ProgressDisplay
from mmembed.errors import ConfigError, ManifestError, StoreError
from mmembed.media.pool import default_workers
from mmembed.space import Precision, Space, load_space, read_card
from mmembed.store.schema import Provenance, VectorType, row_schema
from mmembed.store.table import part_files, read_errors
from mmembed.store.writer import (
    read_card_text,
    remove_leftovers,
    remove_part,
    write_card,
    write_part,
)

KEY_COLUMNS = ["path", "modality", "size", "mtime_ns"]


def embed(
    source: Path,
    out: Path,
    *,
    space: Path,
    precision: Precision = "fp32",
    batch_size: int = 32,
    workers: int | None = None,
    segment_seconds: float | None = None,
    hop_seconds: float | None = None,
    vector_type: VectorType = "float32",
    timeout_seconds: float = 60.0,
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
        batch_size: items a forward pass.
        workers: decode processes; 0 decodes in the main process; None takes one a core.
        segment_seconds: length of the spans that sounds and videos are cut into; None takes the
            space's own.
        hop_seconds: distance between the starts of two spans; None for ``segment_seconds``, if
            that is given, else the space's own.
        vector_type: ``float32``, ``float16``, or ``list`` for readers without fixed-size lists.
        timeout_seconds: longest time for decoding one file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
        chunk_files: files a part file.

    Raises:
        ManifestError: no such source, or nothing in it.
        SpaceError: no such space.
        StoreError: ``out`` was made by another space, from another source or with other settings.
        ConfigError: an option out of range.
    """
    started = time.monotonic()
    source, out = Path(source), Path(out)
    workers = default_workers() if workers is None else workers
    if batch_size < 1 or chunk_files < 1 or workers < 0 or timeout_seconds <= 0:
        raise ConfigError(
            "--batch_size, --chunk_files and --timeout_seconds must be positive, --workers not "
            "negative"
        )
    if segment_seconds is not None and hop_seconds is None:
        hop_seconds = segment_seconds
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, but the dataset is a folder")
    card = read_card(space)
    listing = list_source(source, out)
    settings = {
        "precision": precision,
        "vector_type": vector_type,
        "segment_seconds": segment_seconds,
        "hop_seconds": hop_seconds,
    }
    provenance = Provenance(
        card["fingerprint"], card["name"], card["dim"], os.path.abspath(listing.root), settings
    )
    schema = row_schema(provenance, listing.carried_types, vector_type)
    keys = np.array(sorted(file.key for file in listing), np.uint64)
    if len(keys) == 0:
        raise ManifestError(f"{source}: no files in it")
    _bind(out, provenance)
    remove_leftovers(out)
    done, removed = _reconcile(out, listing, keys)
    summary = EmbedSummary(out, found=len(keys), kept=len(done), removed=removed)
    summary.hidden, summary.repeated = listing.hidden, listing.repeated

    def commit(chunk: Chunk) -> None:
        rows, errors = chunk.rows(listing, schema, provenance.dim), chunk.errors()
        write_part(out, chunk.name, rows, errors)
        for _, problem in chunk.problems():
            summary.add_error(problem.stage, problem.message)
        summary.rows.update(rows["modality"].to_pylist())
        summary.embedded += len(chunk.files) - len(errors)

    if len(done) < len(keys):
        model = load_space(space, _device(device))
        preprocess = _segmented(model, segment_seconds, hop_seconds)
        engine = Engine(model, preprocess, precision, batch_size, workers, timeout_seconds)
        chunks: Iterator[Chunk] = map(Chunk, slices(listing, done, chunk_files))
        with ProgressDisplay(summary) as display:
            engine.run(chunks, commit, display.update)
    summary.seconds = time.monotonic() - started
    return summary


def _device(name: str) -> str:
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


def _bind(out: Path, provenance: Provenance) -> None:
    """Write what makes the dataset, or refuse if something else made it.

    Raises:
        StoreError: another space, source or setting made what is there.
    """
    text = read_card_text(out)
    if text is None:
        if out.is_dir() and part_files(out):
            raise StoreError(f"{out}: has part files but no _mmembed.json; name another folder")
        write_card(out, provenance.to_json())
        return
    made = Provenance.from_json(text, str(out))
    if made.fingerprint != provenance.fingerprint:
        raise StoreError(
            f"{out}: made by space {made.space} ({made.fingerprint[:8]}), not by "
            f"{provenance.space} ({provenance.fingerprint[:8]}). Name another folder."
        )
    if made.source != provenance.source:
        raise StoreError(
            f"{out}: holds the vectors of {made.source}, not of {provenance.source}. "
            "Name another folder."
        )
    before, now = dict(made.settings or {}), dict(provenance.settings or {})
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise StoreError(
                f"{out}: made with {name} {before.get(name)}, not {now.get(name)}. "
                "Give the same, or name another folder."
            )


def _reconcile(out: Path, listing: Listing, keys: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the sorted keys of the files that are done, and take out rows of files that are not.

    Args:
        out: the dataset.
        listing: of the source.
        keys: sorted keys of all files that are there now.
    """
    done: set[int] = set()
    removed = 0
    for part in part_files(out):
        rows = pq.read_table(part, columns=KEY_COLUMNS, partitioning=None)
        beside = out / "_errors" / part.name
        errors = pq.read_table(beside, columns=KEY_COLUMNS) if beside.exists() else None
        row_keys = _keys(rows, listing)
        error_keys = _keys(errors, listing) if errors is not None else np.empty(0, np.uint64)
        both = np.unique(np.concatenate([row_keys, error_keys]))
        current = both[np.isin(both, keys)]
        if len(current) < len(both):
            removed += len(both) - len(current)
            _rewrite(out, part, row_keys, error_keys, keys)
        done.update(current.tolist())
    return np.array(sorted(done), np.uint64), removed


def _rewrite(
    out: Path, part: Path, row_keys: np.ndarray, error_keys: np.ndarray, keys: np.ndarray
) -> None:
    """Write a part again without the rows and errors of files that are no longer there."""
    rows = pq.read_table(part, partitioning=None).filter(pa.array(np.isin(row_keys, keys)))
    beside = out / "_errors" / part.name
    errors = pq.read_table(beside) if beside.exists() else read_errors(out).slice(0, 0)
    errors = errors.filter(pa.array(np.isin(error_keys, keys)))
    if len(rows) or len(errors):
        write_part(out, part.name, rows, errors)
    else:
        remove_part(out, part.name)


def _keys(table: pa.Table, listing: Listing) -> np.ndarray:
    """Return the file key of each row, as :attr:`File.key` makes it."""
    columns = [table[name].to_pylist() for name in KEY_COLUMNS]
    if isinstance(listing, FolderListing):
        columns[1] = [None] * len(table)
    return np.array([file_key(*row) for row in zip(*columns, strict=True)], np.uint64)
