"""Measures ``mmembed embed`` beside other tools: one folder, one model, one precision.

Usage::

    python benchmarks/peers.py [--venvs FOLDER] [--scale 0.1] [--rounds 3]

The peers are a torch DataLoader loop around an open_clip model, as people write it themselves,
sentence-transformers, Daft, and clip-retrieval. They are installed from PyPI into two
environments under ``--venvs`` (13 GB), which are used again if they are there; nothing else is
fetched. All load the same random weights: a ViT-S/16 as CLIP has it, and a ResNet-18 on 64 mels.
Each runs in a process of its own (``benchmarks/peers/run_*.py``), every round in another order.
The section ``embed:peers`` of ``docs/benchmarks.md`` is written unless ``--scale`` is below 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from corpus import film, photo, sound
from page import conditions, write_section
from peers_setup import TOOLS, Tool, call, make_weights, python_of, set_up, versions

CORPORA: list[tuple[str, str, int, Callable[[Path, int], None]]] = [
    ("JPEG of 500 × 375", "image", 2000, lambda path, i: photo(path, i, (500, 375))),
    ("JPEG of 4000 × 3000", "image", 200, lambda path, i: photo(path, i, (4000, 3000))),
    ("WAV of 10 s", "audio", 500, sound),
    ("MP4 of 10 s, 640 × 360", "video", 50, film),
]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))


@dataclass
class Runs:
    """The outcome of one tool over one folder: seconds by round, or why there are none."""

    steady: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    cosine: float = float("nan")
    failure: str = ""


Row = dict[str, Runs]
Vectors = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    place = CACHE / "mmembed-peers"
    parser.add_argument("--venvs", type=Path, default=place, help="environments of the peers")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files")
    parser.add_argument("--rounds", type=int, default=3, help="runs a tool and folder")
    options = parser.parse_args()
    broken = set_up(options.venvs)
    rows: dict[tuple[str, int], Row] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_weights(folder / "weights", options.venvs)
        for title, kind, count, make in CORPORA:
            count = max(8, round(count * options.scale))
            media = folder / "media"
            media.mkdir()
            for i in range(count):
                make(media / f"{i:04}", i)
            here = Comparison(folder, options.venvs, kind, broken)
            rows[title, count] = here.run(options.rounds, f"{count:,} × {title}")
            shutil.rmtree(media)
    said = conditions("torch", "timm", "av", "pillow", "pyarrow")
    head = f"`benchmarks/peers.py`; {said} {versions(options.venvs, broken)}"
    text = f"## Beside other tools\n\n{head}\n\n{report(rows, options.rounds)}"
    print(text)
    if options.scale >= 1:
        write_section("embed:peers", text)


@dataclass
class Comparison:
    """The tools over one folder, ``folder/media``."""

    folder: Path
    venvs: Path
    kind: str
    broken: dict[str, str]

    def run(self, rounds: int, title: str) -> Row:
        """Return what each tool did; every round begins with another."""
        able = [tool for tool in TOOLS if self.kind in tool.kinds]
        row = {t.name: Runs(failure=self.broken.get(t.environment or "", "")) for t in able}
        for number in range(rounds):
            turn = number % len(able)
            vectors: dict[str, Vectors] = {}
            for tool in able[turn:] + able[:turn]:
                if not row[tool.name].failure:
                    said = self._try(tool, row[tool.name], vectors)
                    print(f"{title}: {tool.name}: {said}", file=sys.stderr, flush=True)
            if "mmembed" not in vectors:
                sys.exit(f"mmembed {row['mmembed'].failure}")
            for name, theirs in vectors.items():
                try:
                    row[name].cosine = likeness(vectors["mmembed"], theirs)
                except RuntimeError as error:
                    row[name].failure = f"did not do the same: {error}"
        return row

    def _try(self, tool: Tool, runs: Runs, vectors: dict[str, Vectors]) -> str:
        out = self.folder / "out"
        try:
            self._time(tool, runs, out)
            vectors[tool.name] = vectors_of(out)
        except RuntimeError as error:
            runs.failure = f"could not run: {error}"
            return runs.failure
        finally:
            shutil.rmtree(out, ignore_errors=True)
        return f"{runs.steady[-1]:.2f} s, the process {runs.whole[-1]:.2f} s"

    def _time(self, tool: Tool, runs: Runs, out: Path) -> None:
        python = python_of(self.venvs, tool.environment)
        folders = [str(self.folder / "media"), str(self.folder / "weights"), str(out)]
        began = time.perf_counter()
        said = call([str(python), str(tool.script), self.kind, *folders])
        runs.whole.append(time.perf_counter() - began)
        runs.steady.append(json.loads(said.strip().splitlines()[-1])["seconds"])


def vectors_of(out: Path) -> Vectors:
    """Return the vectors that a runner wrote, by file name."""
    files = [str(path) for path in sorted(out.glob("*.parquet"))]
    table = ds.dataset(files).to_table(columns=["path", "embedding"])
    names = [Path(path).name for path in table["path"].to_pylist()]
    return dict(zip(names, np.array(table["embedding"].to_pylist(), np.float32), strict=True))


def likeness(ours: Vectors, theirs: Vectors) -> float:
    """Return the median cosine of two vectors of a file, the mean of all files taken off.

    A random model's vectors are all alike but for that.
    """
    if set(ours) != set(theirs):
        raise RuntimeError(f"it embedded {len(theirs)} of {len(ours)} files, or others")
    names = sorted(ours)
    a, b = (np.stack([each[name] for name in names]) for each in (ours, theirs))
    a, b = a - a.mean(0), b - a.mean(0)
    dots = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(np.median(dots))


def report(rows: dict[tuple[str, int], Row], rounds: int) -> str:
    """Return the tables, and below them what did not run."""
    parts = [
        "On the CPU, fp32, the same random weights: a ViT-S/16 as CLIP has it (of a video 8 "
        "frames, averaged), a ResNet-18 on 64 mels for sound. Peers take batches of 32 pictures, "
        "sounds or frames, and a decode worker a core where they have such options; mmembed runs "
        f"with its defaults. Medians of {rounds} rounds, the order of the tools rotated.",
        "From the first file to the last vector on disk, without imports and loading: files/s, "
        "and in brackets how many times as fast mmembed is.",
        _table(rows, _speed),
        "The whole process from a cold start, in seconds:",
        _table(rows, lambda row, name, _: f"{statistics.median(row[name].whole):.1f}"),
        "Median cosine to mmembed's vector of the same file, the mean of the folder taken off; "
        "peers round sizes, scale and pick frames in ways of their own:",
        _table(rows, lambda row, name, _: f"{row[name].cosine:.4f}"),
    ]
    failures = {(name, runs.failure) for row in rows.values() for name, runs in row.items()}
    parts += [f"{name} {failure}" for name, failure in sorted(failures) if failure]
    return "\n\n".join(parts)


def _speed(row: Row, name: str, count: int) -> str:
    runs = row[name]
    rate = count / statistics.median(runs.steady)
    pairs = zip(runs.steady, row["mmembed"].steady, strict=True)
    times = statistics.median(theirs / ours for theirs, ours in pairs)
    return f"{rate:.1f}" if name == "mmembed" else f"{rate:.1f} ({times:.2f})"


def _table(rows: dict[tuple[str, int], Row], cell: Callable[[Row, str, int], str]) -> str:
    names = [tool.name for tool in TOOLS]
    lines = [f"| folder | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for (title, count), row in rows.items():
        cells = []
        for name in names:
            if name not in row:
                cells.append("—")
            elif row[name].failure:
                cells.append("could not run")
            else:
                cells.append(cell(row, name, count))
        lines.append(f"| {count:,} × {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
