"""How good the spaces of the avdigits recipes are: runs them as a user would, over several seeds.

    python benchmarks/quality.py --config configs/avdigits.yaml --seeds 0 1 2
    python benchmarks/quality.py --config configs/avdigits_speech.yaml --speech DIR --speakers ann bob

Each run makes its media, trains, embeds and evaluates below ``runs/quality``; a run whose report is
there is not done again. The table goes into ``docs/benchmarks.md``, between the marks of its
config, with date, machine and versions.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

PAGE = Path("docs/benchmarks.md")
PHASES = ("make", "fit", "embed", "evaluate")


def run_one(folder: Path, words: list[str]) -> dict:
    """Run the pipeline once, or read what an earlier run left; return its report and seconds."""
    seconds_file, report_file = folder / "seconds.json", folder / "report" / "report.json"
    if not (seconds_file.is_file() and report_file.is_file()):
        began = time.perf_counter()
        command = [sys.executable, "pipelines/avdigits.py", "--folder", str(folder), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        phases = {p: float(s) for p, s in re.findall(r"^mmembed (\w+): (\d+) s", done.stdout, re.M)}
        phases["make"] = time.perf_counter() - began - sum(phases.values())
        seconds_file.write_text(json.dumps(phases))
    return {
        "report": json.loads(report_file.read_text()),
        "seconds": json.loads(seconds_file.read_text()),
    }


def scores(report: dict) -> dict[str, float]:
    """Return mAP by label of each direction, and the linear probe of each modality."""
    found = {
        f"{r['query']} → {r['target']}": r["mAP"]
        for r in report["retrieval"]
        if r["relevance"] == "label"
    }
    for c in report["classification"]:
        if c["method"] == "linear probe":
            found[f"probe {c['modality']}"] = c["accuracy"]
    return found


def table(runs: dict[str, dict]) -> str:
    """Return the Markdown table: a row a run, then the mean and the lowest."""
    each = {name: scores(run["report"]) for name, run in runs.items()}
    columns = list(next(iter(each.values())))
    lines = [
        "| run | " + " | ".join(columns) + " | seconds |",
        "|---|" + "---:|" * (len(columns) + 1),
    ]
    for name, row in each.items():
        spent = " + ".join(f"{runs[name]['seconds'].get(p, 0):.0f}" for p in PHASES)
        lines.append(
            f"| {name} | " + " | ".join(f"{row[c]:.3f}" for c in columns) + f" | {spent} |"
        )
    if len(each) > 1:
        for word, pick in (("mean", statistics.mean), ("lowest", min)):
            cells = (f"{pick([row[c] for row in each.values()]):.3f}" for c in columns)
            lines.append(f"| **{word}** | " + " | ".join(cells) + " | |")
    return "\n".join(lines)


def write_section(name: str, text: str) -> None:
    """Put ``text`` between the marks of ``name`` in the page, adding them if need be."""
    page = PAGE.read_text("utf-8") if PAGE.is_file() else "# Benchmarks\n"
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    block = f"{start}\n{text}\n{end}"
    if start in page:
        head, _, rest = page.partition(start)
        page = head + block + rest.partition(end)[2]
    else:
        page = f"{page.rstrip()}\n\n{block}\n"
    PAGE.write_text(page, "utf-8")


def machine() -> str:
    """Return date, processor, cores and versions in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        model = (re.findall(r"model name\s*: (.+)", info.read_text()) or [model])[0]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    names = ", ".join(f"{p} {version(p)}" for p in ("mmembed", "torch", "timm", "lightning"))
    day = datetime.date.today().isoformat()
    return f"{day}; {model}, {os.cpu_count()} cores, {threads} threads a process; {names}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/avdigits.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--speech", type=Path, help="a folder of real recordings")
    parser.add_argument("--speakers", nargs="+", help="hold out each in turn, or `all`")
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"))
    given = parser.parse_args()
    runs = {}
    for speaker in given.speakers or [None]:
        for seed in given.seeds:
            name = f"{speaker}, seed {seed}" if speaker else f"seed {seed}"
            folder = (
                given.folder / f"{given.config.stem}-{name.replace(', ', '-').replace(' ', '')}"
            )
            words = ["--config", str(given.config), "--seed", str(seed)]
            if given.speech:
                words += ["--speech", str(given.speech), "--test_speaker", str(speaker)]
            runs[name] = run_one(folder, words)
            text = (
                f"## {given.config.stem}\n\nmAP by label on the test split in every direction, and "
                "linear-probe accuracy. Seconds are making + training + embedding + evaluating.\n\n"
                f"{table(runs)}\n\n{machine()}"
            )
            write_section(given.config.stem, text)
            print(table(runs), flush=True)


if __name__ == "__main__":
    main()
