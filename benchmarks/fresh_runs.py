"""The spread of ten fresh processes of ``mmembed embed``, in turn with a plain DataLoader loop."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from corpus import photo

RUNS, PICTURES = 10, 600
LOOP = Path(__file__).resolve().parent / "peers" / "timm_loop.py"
HEAD = f"""The spread of fresh processes

{{count}} JPEGs of 500 × 375, a ViT-S/16 in fp32, {RUNS} fresh processes of `mmembed embed` in turn
with as many of a plain torch loop over the same timm model (`benchmarks/peers/timm_loop.py`: a
DataLoader with a worker a core, batches of 32). Seconds are of the whole process.

| | fastest | median | slowest | slowest / fastest | slowest / fastest of the loop |
|---|---:|---:|---:|---:|---:|"""


def spread(folder: Path, space: Path, scale: float) -> str:
    """Return the section: seconds of each side, and the threads that each run chose.

    Args:
        folder: for media and output.
        space: of a ViT-S/16 at 224 px.
        scale: share of the files.
    """
    media = folder / "media"
    media.mkdir()
    count = max(8, round(PICTURES * scale))
    for i in range(count):
        photo(media / f"{i:04}", i, (500, 375))
    ours, theirs, threads = [], [], []
    for number in range(RUNS):
        out = folder / f"out{number}"
        words = ["-m", "mmembed", "embed", str(media), str(out), "--space", str(space)]
        seconds, said = _timed(words)
        ours.append(seconds)
        threads += re.findall(r"threads of the model, image: (.*)", said)
        theirs.append(_timed([str(LOOP), str(media), str(folder / "loop.npy")])[0])
        print(f"run {number + 1}: {ours[-1]:.1f} s, the loop {theirs[-1]:.1f} s", file=sys.stderr)
    rows = [
        f"| {name} | {min(runs):.1f} | {statistics.median(runs):.1f} | {max(runs):.1f} "
        f"| {max(runs) / min(runs):.2f} | {max(runs) / min(theirs):.2f} |"
        for name, runs in (("mmembed", ours), ("the loop", theirs))
    ]
    chosen = [f"- {line}" for line in threads]
    return "\n".join([HEAD.format(count=count), *rows, "", "Threads, by run:", "", *chosen])


def _timed(words: list[str]) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"failed: {words}")
    return time.perf_counter() - began, done.stdout
