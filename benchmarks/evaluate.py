"""Measures exact ranks of many queries among very many vectors beside faiss's flat search.

Usage::

    python benchmarks/evaluate.py [--queries 10000] [--targets 1000000] [--dim 512] [--rounds 3]

Vectors are random but for one relevant target a query. Each side runs in a process of its own, so
that its peak memory is its own; the order changes every round. faiss comes from PyPI
(``faiss-cpu``). It writes the section ``evaluate`` of ``docs/benchmarks.md`` unless a size is
smaller than the defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from page import conditions, write_section

from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.rows import errors_table, rows_table
from mmembed.store.schema import row_schema

SIDES = {
    "top": "mmembed, the top 100",
    "ranks": "mmembed, every metric of full ranks, one relevant a query",
    "faiss": "faiss IndexFlatIP, the top 100",
}
NOISE = 6.0  # how far a query is off its target: ranks from 1 to some thousands
LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--targets", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help="run one side in this process")
    options = parser.parse_args()
    sizes = [options.queries, options.targets, options.dim]
    if options.side:
        print(json.dumps(run(options.side, *sizes)))
        return
    measured: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for number in range(options.rounds):
        order = list(SIDES)[number % len(SIDES) :] + list(SIDES)[: number % len(SIDES)]
        for side in order:
            measured[side].append(one_side(side, sizes))
            print(f"{side}: {measured[side][-1]}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", *sizes)
        words = ["-m", "mmembed", "evaluate", f"{folder}/data", "--report", f"{folder}/report"]
        seconds, peak, said = launched(words)
        print(said, file=sys.stderr)
    text = table(measured, sizes, options.rounds)
    text += (
        f"| `mmembed evaluate` over the same as Parquet, with the report | {seconds:.0f} | "
        f"| {peak:,.0f} |\n"
    )
    print(text)
    if all(size >= least for size, least in zip(sizes, (10_000, 1_000_000, 512), strict=True)):
        write_section("evaluate", text)


def one_side(side: str, sizes: list[int]) -> tuple[float, float]:
    """Return seconds and peak MB of one side in a process of its own."""
    words = [__file__, "--side", side]
    for name, size in zip(("--queries", "--targets", "--dim"), sizes, strict=True):
        words += [name, str(size)]
    _, peak, said = launched(words)
    return json.loads(said.splitlines()[-1])["seconds"], peak


def launched(words: list[str]) -> tuple[float, float, str]:
    """Return seconds, peak MB and what Python says when it runs ``words``."""
    began = time.perf_counter()
    command = [sys.executable, "-c", LAUNCHER, sys.executable, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"failed: {words}")
    said, peak = done.stdout.strip().rsplit("\n", 1)
    return time.perf_counter() - began, int(peak) / 1024, said


def write_dataset(folder: Path, queries: int, targets: int, dim: int) -> None:
    """Write the same vectors as sounds that ask and pictures that answer, 25,000 a part."""
    asked, given, answer = vectors(queries, targets, dim)
    provenance = Provenance("ab" * 16, "random", dim, "")
    schema = row_schema(provenance, {"group": pa.string()})
    folder.mkdir()
    kinds = (("audio", asked, answer), ("image", given, np.arange(targets)))
    for kind, rows, groups in kinds:
        for start in range(0, len(rows), 25_000):
            part = slice(start, start + 25_000)
            count = len(rows[part])
            columns = {name: [None] * count for name in ("segment_index", "start_s", "end_s")}
            columns |= {"path": [f"{kind}/{start + i:07}" for i in range(count)]}
            columns |= {"modality": [kind] * count, "size": [1] * count, "mtime_ns": [1] * count}
            carried = pa.table({"group": [str(g) for g in groups[part]]})
            table = rows_table(columns, rows[part], carried, schema)
            EmbeddingDataset(folder).commit(
                f"part-{kind}-{start:07}.parquet", table, errors_table([])
            )


def vectors(queries: int, targets: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors that ask and that are asked for, and the answer of each query."""
    rng = np.random.default_rng(0)
    given = np.empty((targets, dim), np.float32)
    for start in range(0, targets, 1 << 14):
        few = rng.normal(size=(min(1 << 14, targets - start), dim)).astype(np.float32)
        given[start : start + len(few)] = few / np.linalg.norm(few, axis=1, keepdims=True)
    answer = rng.integers(0, targets, queries)
    noise = rng.normal(size=(queries, dim)) / np.sqrt(dim)
    asked = (given[answer] + NOISE * noise).astype(np.float32)
    return asked / np.linalg.norm(asked, axis=1, keepdims=True), given, answer


def run(side: str, queries: int, targets: int, dim: int) -> dict[str, float]:
    """Do one side and return its seconds, making the vectors not counted."""
    asked, given, answer = vectors(queries, targets, dim)
    if side == "faiss":
        import faiss

        faiss.omp_set_num_threads(os.cpu_count() or 1)
        index = faiss.IndexFlatIP(dim)
        index.add(given)
        del given
        began = time.perf_counter()
        index.search(asked, 100)
        return {"seconds": time.perf_counter() - began}
    from mmembed.evaluation.retrieval.relevance import Judged
    from mmembed.evaluation.retrieval.retrieval import score
    from mmembed.neighbors.exact import top_k

    began = time.perf_counter()
    if side == "top":
        top_k(asked, given, 100)
        return {"seconds": time.perf_counter() - began}
    relevant = Judged(np.arange(queries + 1), answer, np.ones(queries))
    scores = score(asked, given, [relevant])[0].summary()
    return {"seconds": time.perf_counter() - began, "mAP": scores["mAP"]}


def table(measured: dict[str, list[tuple[float, float]]], sizes: list[int], rounds: int) -> str:
    """Return the section."""
    queries, targets, dim = sizes
    lines = [
        "## Exact search and full ranks",
        "",
        f"`benchmarks/evaluate.py`; {conditions('numpy', 'scipy', 'faiss-cpu')}",
        "",
        f"{queries:,} queries among {targets:,} vectors of {dim} floats in memory, all cores; "
        f"medians of {rounds} rounds, each side in a process of its own, the order rotated. Peak "
        "memory is that of the process, the vectors included (faiss: its index, and them while "
        "they are added).",
        "",
        "| what | seconds | beside faiss | peak, MB |",
        "|---|---:|---:|---:|",
    ]
    for side, title in SIDES.items():
        seconds = statistics.median(s for s, _ in measured[side])
        ratio = statistics.median(
            ours[0] / theirs[0]
            for ours, theirs in zip(measured[side], measured["faiss"], strict=True)
        )
        peak = statistics.median(mb for _, mb in measured[side])
        lines.append(f"| {title} | {seconds:.1f} | {ratio:.2f} | {peak:,.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
