"""Runs the avdigits pipeline as a user would, once a seed or speaker, and writes its figures.

Usage::

    python benchmarks/quality.py --config configs/avdigits.yaml --seeds 0 1 2
    python benchmarks/quality.py --config configs/avdigits_speech.yaml --speech DIR \\
        --test-speakers ann bob
    python benchmarks/quality.py --config configs/avdigits_robust.yaml --speech DIR \\
        --test-speakers all --utterances 3

Options that it does not know go to the pipeline. Each run makes its media, trains, embeds and
evaluates below ``runs/quality``. The table goes into ``docs/benchmarks.md``, in place of the one
that the same config wrote before. It reads ``report.json`` and knows nothing of models.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from page import conditions, write_section

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "timm", "torchaudio", "lightning", "av")
PHASE = re.compile(r"^mmembed (fit|embed|evaluate): (\d+) s$", re.MULTILINE)


@dataclass
class Run:
    """The figures that one run of the pipeline reached, by name, and its seconds by phase."""

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "avdigits.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--speech", type=Path, help="folder of recordings")
    parser.add_argument("--test-speakers", nargs="+", default=[], help="one run each")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quality")
    options, others = parser.parse_known_args()
    runs = []
    for seed in options.seeds:
        for speaker in options.test_speakers or [None]:
            name = f"seed {seed}" if speaker is None else f"{speaker}, seed {seed}"
            folder = options.out / options.config.stem / name.replace(", ", "-").replace(" ", "-")
            words = [folder, "--config", options.config, "--seed", seed, *others]
            if options.speech is not None:
                words += ["--speech", options.speech]
            if speaker is not None:
                words += ["--test-speaker", speaker]
            runs.append(measure("avdigits", name, folder, [str(word) for word in words]))
            print(f"{name}: {runs[-1].figures}", flush=True)
    section = render(options.config, runs)
    write_section(f"quality:{options.config.stem}", section)
    print(section)


def measure(pipeline: str, name: str, folder: Path, words: list[str]) -> Run:
    """Run a pipeline, and read its report and its own account of the time."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "pipelines" / f"{pipeline}.py"), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    total = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{name}: the pipeline failed:\n{done.stdout[-2000:]}")
    run = Run(name, read_figures(folder / "report" / "report.json"))
    run.seconds = {phase: float(seconds) for phase, seconds in PHASE.findall(done.stdout)}
    made = max(0.0, total - sum(run.seconds.values()))  # the others are rounded
    run.seconds = {"make": made, **run.seconds, "all": total}
    return run


def read_figures(path: Path) -> dict[str, float]:
    """Return mAP by label of each direction, and the linear probe of each modality.

    Directions within a modality count where there is one modality alone.
    """
    report = json.loads(path.read_text("utf-8"))
    by_label = [row for row in report["retrieval"] if row["relevance"] == "label"]
    across = [row for row in by_label if row["query"] != row["target"]]
    figures = {
        f"{row['query']} → {row['target']}": row["metrics"]["mAP"] for row in across or by_label
    }
    for row in report["classification"]:
        if row["method"] == "linear probe":
            figures[f"probe {row['modality']}"] = row["metrics"]["accuracy"]
    return figures


def render(config: Path, runs: list[Run]) -> str:
    """Return the section of one config: what was run, where, and a table a figure."""
    config = config.relative_to(ROOT) if config.is_relative_to(ROOT) else config
    return "\n".join(
        [
            f"## {config.stem}: quality",
            "",
            f"`{config}`; {conditions(*PACKAGES)}",
            "",
            "Mean average precision by label on the test split (arrows), accuracy of a linear "
            "probe, and wall time.",
            "",
            *table(runs),
        ]
    )


def table(runs: list[Run]) -> list[str]:
    """Return the lines of a table: a column a run, a row a figure, and the seconds by phase."""
    lines = [f"| | {' | '.join(run.name for run in runs)} | mean |"]
    lines.append("|---|" + "---:|" * (len(runs) + 1))
    for name in [name for name in runs[0].figures if all(name in run.figures for run in runs)]:
        values = [run.figures[name] for run in runs]
        cells = [f"{value:.3f}" for value in [*values, statistics.fmean(values)]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in runs[0].seconds:
        values = [run.seconds[name] for run in runs]
        cells = [f"{value:.0f}" for value in [*values, statistics.fmean(values)]]
        lines.append(f"| seconds, {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
