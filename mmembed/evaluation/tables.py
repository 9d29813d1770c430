"""The numbers of an evaluation as tables: Markdown for files, rich for terminals."""

from __future__ import annotations

import math
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmembed.evaluation.findings import Evaluation
from mmembed.evaluation.retrieval import METRICS

Rows = list[list[str]]


def number(value: float) -> str:
    """Return a score with three digits, a rank with one."""
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if abs(value) > 1.5 else f"{value:.3f}"


def all_tables(found: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """Return title, header and rows of every table of ``Evaluation.to_dict()``."""
    tables: list[tuple[str, list[str], Rows]] = []
    for relevance in dict.fromkeys(r["relevance"] for r in found["retrieval"]):
        rows = [
            [f"{r['query']} → {r['target']}", str(r["queries"]), str(r["unanswerable"])]
            + [number(r[m]) for m in METRICS]
            + [number(r["chance"]["mAP"])]
            for r in found["retrieval"]
            if r["relevance"] == relevance
        ]
        header = ["direction", "queries", "left out", *METRICS, "chance mAP"]
        tables.append((f"Retrieval, relevant by {relevance}", header, rows))
    rows = [
        [c["modality"], c["method"], number(c["accuracy"]), number(c["macro F1"]), c["protocol"]]
        for c in found["classification"]
    ]
    if rows:
        header = ["modality", "method", "accuracy", "macro F1", "protocol"]
        tables.append(("Classification", header, rows))
    rows = [[name, number(value)] for name, value in found["geometry"].items()]
    tables.append(("Geometry", ["what", "value"], rows))
    return tables


def markdown(found: dict[str, Any]) -> str:
    """Return the whole evaluation as Markdown."""
    space = found["space"]
    counts = ", ".join(f"{count:,} {m}" for m, count in found["counts"].items())
    lines = [
        f"# Evaluation of {_cell(space['name'])}",
        "",
        found["verdict"],
        "",
        f"- files: {counts}",
        f"- space: {_cell(space['name'])}, {space['dim']} dimensions, `{space['fingerprint']}`",
        f"- versions: {', '.join(f'{k} {v}' for k, v in found['versions'].items())}",
    ]
    lines += [f"- **fault**: {fault}" for fault in found["faults"]]
    lines += ["", "## Protocol", ""]
    lines += [f"- {name}: {text}" for name, text in found["protocol"].items()]
    for title, header, rows in all_tables(found):
        lines += ["", f"## {title}", "", "| " + " | ".join(header) + " |"]
        lines += ["|" + "---|" * len(header)]
        lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    lines += ["", "## What the metrics mean", ""]
    lines += [f"- {name}: {text}" for name, text in found["metrics"].items()]
    return "\n".join(lines) + "\n"


def print_tables(evaluation: Evaluation) -> None:
    """Print verdict, faults and tables to the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    found = evaluation.to_dict()
    console.print(
        f"\n[bold]{escape(found['space']['name'])}[/bold]  {escape(found['protocol']['scored'])}"
    )
    for fault in found["faults"]:
        console.print(f"fault: {fault}", style="yellow", markup=False)
    for title, header, rows in all_tables(found)[:-1]:
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE)
        table.collapse_padding, table.pad_edge = True, False
        for i, name in enumerate(header):
            widest = max(len(row[i]) for row in rows)
            table.add_column(name, justify="left" if i == 0 else "right", min_width=widest)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(found["verdict"], markup=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
