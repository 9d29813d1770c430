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

import torch

from mmembed.data.preprocess import AudioPreprocess, Preprocess, VideoPreprocess
from mmembed.embedding.chunk import Chunk, slices
from mmembed.embedding.engine import Engine
from mmembed.embedding.listing import list_source
from mmembed.embedding.past import bind, index, reconcile
from mmembed.embedding.progress import EmbedSummary, ProgressDisplay
from mmembed.errors import ConfigError, ManifestError
from mmembed.media.pool import default_workers
from mmembed.space import Precision, Space, load_space, read_card
from mmembed.store.schema import Provenance, VectorType, row_schema
from mmembed.store.writer import write_part


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
    present = index(listing)
    if len(present) == 0:
        raise ManifestError(f"{source}: no files in it")
    bind(out, provenance)
    done, removed = reconcile(out, listing, present, schema)
    summary = EmbedSummary(out, found=len(present), kept=len(done), removed=removed)
    summary.hidden, summary.repeated = listing.hidden, listing.repeated

    def commit(chunk: Chunk) -> None:
        rows, errors = chunk.rows(listing, schema, provenance.dim), chunk.errors()
        write_part(out, chunk.name, rows, errors)
        for _, problem in chunk.problems():
            summary.add_error(problem.stage, problem.message)
        summary.rows.update(rows["modality"].to_pylist())
        summary.embedded += len(chunk.files) - len(errors)

    if len(done) < len(present):
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
