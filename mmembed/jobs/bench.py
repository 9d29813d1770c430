"""Time of each step when a folder is embedded, and how near the run comes to the limit.

Each step is measured alone on a sample of the user's own files: listing, decoding and
transforming on one core, the model with all cores (or its device), writing. The limit is what a
perfect overlap of all cores would give: one over the decode and transform time a file by the
number of cores, plus the model's time a file.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmembed.data.batch import Buckets, collate
from mmembed.embedding.engines.batch_sizes import BatchSizes
from mmembed.embedding.engines.chunk import Chunk, DecodedSoFar, FileRows, Segment
from mmembed.embedding.engines.local import LocalEngine
from mmembed.embedding.plan.listing import Listing, list_source
from mmembed.embedding.settings import Machine, RowOptions
from mmembed.errors import ConfigError, ManifestError, MediaError, SpaceError
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.regions import region_named
from mmembed.media.source_file import File
from mmembed.media.spans import AnySpan
from mmembed.paths import place
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.regions import region_spans
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.space.space_json import Precision, read_card, trusted_packages
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.schema import row_schema

STEPS = ("list", "decode", "transform", "model", "write")
ADVICE = {
    "list": "the file system answers slowly; embed from a local disk.",
    "decode": "more cores or smaller files would help, a faster model would not.",
    "transform": "more cores would help, a faster model would not.",
    "model": "a GPU, bf16 or a smaller model would help, more workers would not.",
    "write": "the disk is slow; write to a local one.",
}
WARM_UP = 2
ALONE = 200  # files on which each step is measured alone
MACHINE = Machine()


@dataclass
class BenchReport:
    """Measurements of :func:`bench`.

    Attributes:
        files: files in the source.
        measured: by field, files on which each step was measured alone.
        failed: files that could not be embedded, beside them.
        cores: processes that decode.
        seconds: by step, seconds a file: decode and transform on one core.
        run_seconds: seconds a file of a real run over the sample, without loading the model.
    """

    files: int
    measured: Counter[str]
    failed: int
    cores: int
    seconds: dict[str, float]
    run_seconds: float = 0.0
    shares: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.shares = dict(self.seconds)
        for step in ("decode", "transform"):
            self.shares[step] /= self.cores

    @property
    def limit(self) -> float:
        """Files a second that a perfect overlap of decoding and model would give."""
        return 1 / max(
            self.shares["decode"] + self.shares["transform"] + self.shares["model"], 1e-9
        )

    @property
    def bottleneck(self) -> str:
        """The step that takes the most of the machine."""
        return max(STEPS, key=lambda step: self.shares[step])

    def __str__(self) -> str:
        """Return a table, the limit and the bottleneck."""
        total = sum(self.shares.values())
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.measured.items()))
        lines = [
            f"{self.files:,} files found; measured on {kinds}; {self.failed:,} failed",
            f"{'step':<10}{'ms a file':>10}{'share':>8}",
        ]
        for step in STEPS:
            on = f"  on each of {self.cores} cores" if step in ("decode", "transform") else ""
            share = self.shares[step] / total
            lines.append(f"{step:<10}{1e3 * self.seconds[step]:>10.3f}{share:>8.0%}{on}")
        run = 1 / max(self.run_seconds, 1e-9)
        lines += [
            f"limit of this machine: {self.limit:,.1f} files/s; "
            f"embed: {run:,.1f} files/s ({run / self.limit:.0%})",
            f"bottleneck: {self.bottleneck}: {ADVICE[self.bottleneck]}",
        ]
        return "\n".join(lines)


def bench(
    source: str | Path,
    *,
    space: str | Path,
    machine: Machine = MACHINE,
    files: int = 200,
    precision: Precision = "fp32",
    seed: int = 0,
) -> BenchReport:
    """Measure where the time goes when a folder or manifest is embedded; nothing of it is kept.

    Args:
        source: a folder of media, or a manifest that names them.
        space: folder of the space that embeds.
        machine: the use of the machine.
        files: how many files to embed, drawn at random; each step is measured alone on up to 200
            of them.
        precision: ``fp32``, or ``bf16`` through autocast.
        seed: of the draw.

    Raises:
        ManifestError: no such source, or no file of the sample can be embedded.
        SpaceError: no such space.
        ConfigError: an option out of range.
    """
    if files < 1:
        raise ConfigError("must be at least 1", "files", files)
    fields = read_card(space, trusted_packages(machine.trust))["fields"]
    listing = list_source(place(source), place(source) / ".no-dataset", fields)
    began = time.perf_counter()
    listed = [file for file in listing if not file.problem and not file.fault]
    seconds = {"list": (time.perf_counter() - began) / max(len(listed), 1)}
    chosen = np.random.default_rng(seed).permutation(len(listed))[:files]
    sample = [listed[i] for i in sorted(chosen.tolist())]
    model = load_space(space, machine.device, machine.trust)
    alone = sample[:: max(1, len(sample) // ALONE)]
    cost, items = _decoded(alone, model)
    measured: Counter[str] = Counter(name for name, _ in items)
    if not items:
        raise ManifestError(f"{source}: none of {len(alone)} files can be embedded")
    seconds |= {step: cost[step] / len(items) for step in ("decode", "transform")}
    seconds["model"] = _model_seconds(model, items, precision, machine.batch_size)
    seconds["model"] /= len(items)
    seconds["write"] = _write_seconds(alone, items, model.dim, listing) / len(items)
    workers, failed = machine.decode_workers, len(alone) - len(items)
    report = BenchReport(len(listed), measured, failed, max(workers, 1), seconds)
    engine = LocalEngine(model, RowOptions(precision), machine=machine)
    report.run_seconds = _run_seconds(engine, sample, listing)
    return report


Items = list[tuple[str, list[np.ndarray]]]


def _decoded(sample: list[File], model: Space) -> tuple[Counter[str], Items]:
    """Return the seconds of decoding and transforming, and field and values of each file."""
    cost: Counter[str] = Counter()
    items: Items = []
    preprocess = model.preprocess
    for file in sample:
        try:
            with _timed(cost, "decode"), _opened(file) as source:
                info = probe(source)
                name = model.field_of(file.field or info.modality)
                work = preprocess[name]
                media = [work.load(source, span) for span in _spans(work, info, file)]
            with _timed(cost, "transform"):
                items.append((name, [work(each) for each in media]))
        except (MediaError, SpaceError, OSError):
            continue
    return cost, items


def _spans(work: Preprocess, info: MediaInfo, file: File) -> Sequence[AnySpan | None]:
    if file.region is None:
        return work.spans(info)
    return region_spans(work, info, region_named(file.region), file.path, file.where)


def _opened(file: File) -> MediaFile:
    if file.content is None:
        return MediaFile(file.location)
    return MediaFile.of_cell(file.path, str(file.modality), file.content)


def _model_seconds(
    model: Space, items: Items, precision: Precision, batch_size: int | None
) -> float:
    """Return the seconds of all values through the model, in batches of one padded length."""
    sizes = BatchSizes(model.device, batch_size)
    buckets: Buckets[None] = Buckets(sizes.size)
    preprocess = model.preprocess
    batches: list[tuple[Any, list[tuple[None, np.ndarray]]]] = []
    for name, values in items:
        for value in values:
            bucket = name, preprocess[name].bucket(value)
            sizes.meet(bucket, value)
            batches += buckets.add(None, bucket, value)
    batches += buckets.flush()
    best: list[float] = []
    every = torch.get_num_threads()
    for threads in {1, every} if model.device.type == "cpu" else {every}:
        torch.set_num_threads(threads)
        total = 0.0
        for number, (bucket, batch) in enumerate([*batches[:WARM_UP], *batches]):
            name, length = bucket
            collated, mask = collate([item for _, item in batch], length)
            began = time.perf_counter()
            model.embed_batch(name, collated, mask, precision)
            total += (time.perf_counter() - began) * (number >= min(WARM_UP, len(batches)))
        best.append(total)
    torch.set_num_threads(every)
    return min(best)


def _run_seconds(engine: LocalEngine, sample: list[File], listing: Listing) -> float:
    """Return the seconds a file of a real run, from the first file decoded on: processes are up."""
    began, decoded = 0.0, 0
    for step in engine.run([_chunk(sample, listing)]):
        if isinstance(step, DecodedSoFar) and step.files and not began:
            began, decoded = time.perf_counter(), step.files
    return (time.perf_counter() - began) / max(len(sample) - decoded, 1)


def _chunk(files: list[File], listing: Listing) -> Chunk:
    return Chunk(files, listing.carried([file.row for file in files]))


def _write_seconds(sample: list[File], items: Items, dim: int, listing: Listing) -> float:
    chunk = _chunk(sample[: len(items)], listing)
    vector = np.full(dim, dim**-0.5, np.float32)
    for number, (name, values) in enumerate(items):
        places = range(len(values))
        chunk.results[number] = FileRows(
            dict.fromkeys(places, Segment(name)), dict.fromkeys(places, vector)
        )
    schema = row_schema(Provenance("", "", dim), listing.carried_types)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        EmbeddingDataset(Path(folder)).commit(chunk.name, chunk.rows(schema, dim), chunk.errors())
        return time.perf_counter() - began


@contextmanager
def _timed(cost: Counter[str], step: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        cost[step] += time.perf_counter() - began  # type: ignore[assignment]
