"""A long file takes little more memory than a short one, in every process of a run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from mmembed.encoders import AudioEncoder
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable

RATE, HOUR = 16000, 3600
MOST_MB = 300
SHORTLY = 5  # looks at a process


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    processes = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            processes += [
                member for child in children.read_text().split() for member in family(int(child))
            ]
        except OSError:  # it ended while we looked
            continue
    return processes


def peak_mb(pid: int) -> float:
    """The most memory that a process had so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    _, said, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) / 1024 if said else 0.0


def embedded(folder: Path, seconds: int, space: Path) -> tuple[float, float, int]:
    """Return the peak of the main process and of the largest other one, and the rows."""
    (folder / "media").mkdir(parents=True)
    with soundfile.SoundFile(folder / "media/noise.wav", "w", RATE, 1) as file:
        noise = np.random.default_rng(0).normal(0, 0.1, 10 * RATE)
        for _ in range(seconds // 10):
            file.write(noise)
    words = ["embed", str(folder / "media"), str(folder / "out"), "--space", str(space)]
    process = subprocess.Popen([sys.executable, "-m", "mmembed", *words, "--workers", "2"])
    said: dict[int, list[float]] = defaultdict(list)
    while process.poll() is None:
        for member in family(process.pid):
            said[member].append(peak_mb(member))
        time.sleep(0.05)
    assert process.returncode == 0
    main = max(said.pop(process.pid))
    # a process just forked still has all that its parent has: only what it grows to counts
    others = max(peaks[-2] for peaks in said.values() if len(peaks) > SHORTLY)
    return main, others, len(EmbeddingTable.open(folder / "out"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_hour_takes_little_more_memory_than_ten_seconds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = AudioEncoder("test_resnet")
    space = Space({"audio": encoder}, dim=8).eval().save(tmp_path / "space")
    short = embedded(tmp_path / "short", 10, space)
    long = embedded(tmp_path / "long", HOUR, space)
    assert (short[2], long[2]) == (1, HOUR // 10)
    assert long[0] - short[0] < MOST_MB, (short, long)
    assert long[1] - short[1] < MOST_MB, (short, long)
