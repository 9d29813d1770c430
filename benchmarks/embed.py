"""Measures embedding beside the limit of the machine, its spread, running again, and memory.

Usage::

    python benchmarks/embed.py [speed] [spread] [again] [memory] [write] [--scale 0.1]

It makes its own media out of two real photographs and coloured noise, and random spaces of usual
sizes. Each part writes its section of ``docs/benchmarks.md``; without a name all of them run.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
import torch
from corpus import RATE, film, photo, sound
from fresh_runs import spread
from page import conditions, write_section

from mmembed.embedding.engines.chunk import Chunk, FileRows, Segment
from mmembed.embedding.plan.listing import FolderListing
from mmembed.encoders import AudioEncoder, ImageEncoder, VideoEncoder
from mmembed.jobs.bench import bench
from mmembed.media.source_file import File
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.schema import row_schema

DIM = 512
ROUNDS, WRITE_ROUNDS = 3, 15
# A process counts the memory of the one that starts it as its own peak, so a small one starts it.
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - began, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
COMPARED = 64  # files whose vectors of bf16 and fp32 are compared


def main() -> None:
    parts = {"speed": speed, "spread": even, "again": again, "memory": memory, "write": write}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="all unless named")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files")
    options = parser.parse_args()
    said = conditions("torch", "timm", "av", "pillow", "pyarrow")
    for name in options.parts or parts:
        with tempfile.TemporaryDirectory() as folder:
            table = parts[name](Path(folder), options.scale)
        print(table, flush=True)
        title, _, rest = table.partition("\n")
        write_section(
            f"embed:{name}", f"## {title}\n\n`benchmarks/embed.py {name}`; {said}\n{rest}"
        )


def speed(folder: Path, scale: float) -> str:
    """Decode, transform and model alone, the limit they leave, and the run itself."""
    spaces = {
        "image": space(folder / "image", image=vit()),
        "audio": space(folder / "audio", audio=listener()),
        "video": space(folder / "video", video=watcher()),
    }
    corpora: list[tuple[str, str, int, Callable[[Path, int], None]]] = [
        ("JPEG of 500 × 375", "image", 2000, lambda path, i: photo(path, i, (500, 375))),
        ("JPEG of 4000 × 3000", "image", 200, lambda path, i: photo(path, i, (4000, 3000))),
        ("WAV of 10 s", "audio", 500, sound),
        ("MP4 of 10 s, 640 × 360", "video", 50, film),
    ]
    lines = [
        "Embedding beside the limit of the machine",
        "",
        "The limit is what a perfect overlap would give: 1 / ((decode + transform) / cores + "
        "model), each measured alone; ViT-S/16 for pictures and frames, ResNet-18 on 64 mels for "
        f"sound. Medians of {ROUNDS} rounds.",
        "",
        "| folder | precision | decode, ms | transform, ms | model, ms | limit, files/s "
        "| embed, files/s | share | cosine distance to fp32, median (largest) |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, kind, count, make in corpora:
        count = max(8, round(count * scale))
        media = folder / f"media-{len(lines)}"
        media.mkdir()
        for i in range(count):
            make(media / f"{i:04}", i)
        for precision in ("fp32", "bf16"):
            reports = [
                bench(media, space=spaces[kind], files=count, precision=precision)
                for _ in range(ROUNDS)
            ]
            cells = [
                statistics.median(1e3 * each.seconds[step] for each in reports)
                for step in ("decode", "transform", "model")
            ]
            limit = statistics.median(each.limit for each in reports)
            run = statistics.median(1 / each.run_seconds for each in reports)
            share = statistics.median(1 / each.run_seconds / each.limit for each in reports)
            steps = " | ".join(f"{cell:.2f}" for cell in cells)
            lines.append(
                f"| {count:,} × {name} | {precision} | {steps} | {limit:.1f} | {run:.1f} "
                f"| {share:.0%} | {apart(spaces[kind], media) if precision != 'fp32' else ''} |"
            )
        shutil.rmtree(media)
    return "\n".join(lines)


def apart(folder: Path, media: Path) -> str:
    """The distance of vectors in bf16 from those in fp32, on some of the files."""
    model, files = load_space(folder), sorted(media.iterdir())[:COMPARED]
    exact, fast = (model.encode(files, precision=kind) for kind in ("fp32", "bf16"))
    distance = 1 - (exact * fast).sum(axis=1)
    return f"{np.median(distance):.1e} ({distance.max():.1e})"


def even(folder: Path, scale: float) -> str:
    """The spread of fresh processes, beside a plain loop."""
    return spread(folder, space(folder / "space", image=vit()), scale)


def again(folder: Path, scale: float) -> str:
    """Running over finished work, and after a few changes."""
    count = max(200, round(40_000 * scale))
    small = space(folder / "space", image=vit("vit_tiny_patch16_224", 32))
    media = folder / "media"
    media.mkdir()
    for i in range(count):
        photo(media / f"{i:05}", i, (64, 48))
    words = [str(media), str(folder / "out"), "--space", str(small)]
    first, _ = measured(words)
    second, _ = measured(words)
    for i in range(10):
        photo(media / f"{i:05}", i + 1, (64, 48))
    third, _ = measured(words)
    return "\n".join(
        [
            "Running again",
            "",
            f"{count:,} JPEGs of 64 × 48, a ViT-Ti/16 at 32 px; seconds of the whole command.",
            "",
            "| run | seconds | share of the first |",
            "|---|---:|---:|",
            f"| the first | {first:.1f} | |",
            f"| nothing to do | {second:.2f} | {second / first:.2%} |",
            f"| 10 files changed | {third:.2f} | {third / first:.2%} |",
        ]
    )


def memory(folder: Path, scale: float) -> str:
    """Peak memory of the largest process by number of files and by length of a file."""
    small = space(folder / "space", image=vit("vit_tiny_patch16_224", 32))
    listening = space(folder / "listening", audio=listener())
    lines = [
        "Memory",
        "",
        "Peak resident memory of the largest process of a run, in MB.",
        "",
        "| source | MB |",
        "|---|---:|",
    ]
    made = 0
    media = folder / "media"
    media.mkdir()
    for count in (round(10_000 * scale), round(40_000 * scale), round(100_000 * scale)):
        for i in range(made, count):
            photo(media / f"{i:05}", i, (64, 48))
        made = count
        _, peak = measured([str(media), str(folder / f"out{count}"), "--space", str(small)])
        lines.append(f"| {count:,} JPEGs of 64 × 48 | {peak:.0f} |")
    for seconds, name in ((10, "a WAV of 10 s"), (3600, "a WAV of 1 h")):
        place = folder / f"sound{seconds}"
        place.mkdir()
        noise = np.random.default_rng(0).normal(0, 0.1, seconds * RATE).astype(np.float32)
        soundfile.write(place / "sound.wav", noise, RATE)
        del noise
        _, peak = measured([str(place), str(folder / f"heard{seconds}"), "--space", str(listening)])
        lines.append(f"| {name} | {peak:.0f} |")
    return "\n".join(lines)


def write(folder: Path, scale: float) -> str:
    """Rows a second from the results of a chunk into a part file, on one core."""
    pa.set_cpu_count(1)
    lines = [
        "Writing",
        "",
        f"Vectors of {DIM} floats, on one core, from the results of a chunk to a part that is "
        "flushed to disk and has its name. *Seconds* are of one chunk, and *processor* what of "
        "them is work and no waiting, for the disk or for other programs; medians of "
        f"{WRITE_ROUNDS}. *Size* is that of the part beside its vectors uncompressed.",
        "",
        "| files in the chunk | seconds | rows/s | processor, s | rows/s of it | size |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    schema = row_schema(Provenance("f" * 32, "space", DIM), {})
    for count in (512, max(1000, round(25_000 * scale))):
        chunk = embedded(count)
        walls, works = [], []
        for _ in range(WRITE_ROUNDS):
            began, worked = time.perf_counter(), time.thread_time()
            rows = chunk.rows(schema, DIM)
            part = EmbeddingDataset(folder).commit(chunk.name, rows, chunk.errors())
            walls.append(time.perf_counter() - began)
            works.append(time.thread_time() - worked)
            size = part.stat().st_size / rows["embedding"].nbytes
            part.unlink()
        wall, work = statistics.median(walls), statistics.median(works)
        lines.append(
            f"| {count:,} | {wall:.4f} | {count / wall:,.0f} | {work:.4f} | {count / work:,.0f} "
            f"| {size:.1%} |"
        )
    return "\n".join(lines)


def embedded(count: int) -> Chunk:
    """A chunk of files that all have a random unit vector, as if they were embedded."""
    vectors = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    paths = [f"folder/{i:07}.jpg" for i in range(count)]
    nothing = FolderListing(Path("media"), Path("out")).carried([None] * count)
    files = [File(path, path, size=i, mtime_ns=i) for i, path in enumerate(paths)]
    chunk = Chunk(files, nothing)
    for i, vector in enumerate(vectors):
        chunk.results[i] = FileRows({0: Segment("image")}, {0: vector})
    return chunk


def measured(words: list[str]) -> tuple[float, float]:
    """Return the seconds of ``mmembed embed WORDS``, and the peak MB of its largest process."""
    command = [sys.executable, "-m", "mmembed", "embed", *words]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *command], stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"embed failed: {words}")
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), float(peak) / 1024


def space(folder: Path, **encoders: torch.nn.Module) -> Path:
    """Save a random space of some encoders."""
    torch.manual_seed(0)
    return Space(encoders, dim=DIM).eval().save(folder)


def vit(name: str = "vit_small_patch16_224", size: int = 224) -> ImageEncoder:
    """A ViT of usual size."""
    arguments = {} if size == 224 else {"img_size": size}
    return ImageEncoder(name, model_args=arguments, preprocess=ImagePreprocess(size=size))


def listener() -> AudioEncoder:
    """A ResNet-18 on 64 mels."""
    return AudioEncoder("resnet18", preprocess=AudioPreprocess(sample_rate=RATE))


def watcher() -> VideoEncoder:
    """Eight frames a span through the ViT."""
    return VideoEncoder(vit(), preprocess=VideoPreprocess(ImagePreprocess(size=224), frames=8))


if __name__ == "__main__":
    main()
