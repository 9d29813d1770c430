"""The numbers of an evaluation as tables: Markdown for files, rich for terminals."""

from __future__ import annotations

import math
from typing import Any, Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmembed.evaluation.findings import Evaluation
from mmembed.evaluation.ranking.metrics import METRICS

Rows = list[list[str]]
WIDEST = 18  # of a column in the terminal that is not broken into lines
UNSHOWN = ("P@10", "recall@10", "nAUC", "chance", "R@5", "MRR", "top-5 accuracy")  # in a terminal
SHOWN = ("mAP", "R@1")  # of the metrics that are compared, in the table of changes


def number(value: float | None) -> str:
    """Return a score with three digits, a rank with one."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.1f}" if abs(value) > 1.5 else f"{value:.3f}"


def span(bounds: list[float] | None) -> str:
    """Return an interval as ``0.912–0.951``."""
    if bounds is None or any(value is None or math.isnan(value) for value in bounds):
        return "–"
    return f"{number(bounds[0])}–{number(bounds[1])}"


def all_tables(found: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """Return title, header and rows of every table of ``Evaluation.to_dict()``."""
    tables: list[tuple[str, list[str], Rows]] = []
    for relevance in dict.fromkeys(r["relevance"] for r in found["retrieval"]):
        rows = [
            [f"{r['query']} → {r['target']}", str(r["queries"]), str(r["unanswerable"])]
            + [number(r["metrics"][m]) for m in METRICS]
            + [span(r["intervals"]["mAP"]), number(r["chance"]["mAP"])]
            for r in found["retrieval"]
            if r["relevance"] == relevance
        ]
        header = ["direction", "queries", "left out", *METRICS, "mAP, 95 %", "chance mAP"]
        tables.append((f"Retrieval, relevant by {relevance}", header, rows))
    if found["comparison"]:
        tables += _comparison(found["comparison"])
    rows = [
        [c["modality"], c["method"]]
        + [number(value) for value in c["metrics"].values()]
        + [span(c["intervals"]["accuracy"]), number(c["chance"]), c["protocol"]]
        for c in found["classification"]
    ]
    if rows:
        metrics = list(found["classification"][0]["metrics"])
        header = ["modality", "method", *metrics, "accuracy, 95 %", "chance", "protocol"]
        tables.append(("Classification", header, rows))
    rows = [[name, number(value)] for name, value in found["geometry"].items()]
    tables.append(("Geometry", ["what", "value"], rows))
    return tables


def _comparison(found: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    changes = [
        [
            c["relevance"],
            f"{c['query']} → {c['target']}",
            c["metric"],
            str(c["queries"]),
            number(c["value"]),
            number(c["other"]),
            signed(c["difference"]),
            f"{signed(c['interval'][0])} to {signed(c['interval'][1])}",
            f"{c['p_holm']:.2g}",
        ]
        for c in found["changes"]
        if c["metric"] in SHOWN
    ]
    header = ["relevant by", "direction", "metric", "queries", "here", "other", "difference"]
    tables = [(f"Against {found['other']}", [*header, "95 %", "p (Holm)"], changes)]
    moved = [
        [m["relevance"], m["direction"], m["path"], number(m["value"]), number(m["other"])]
        for m in found["moved"]
    ]
    if moved:
        header = ["relevant by", "direction", "query", "AP here", "AP other"]
        tables.append(("Queries that changed most", header, moved))
    overlap = [[name, number(value)] for name, value in found["neighbour_overlap"].items()]
    if overlap:
        tables.append(("Common nearest neighbours", ["modality", "share of 10"], overlap))
    return tables


def signed(value: float | None) -> str:
    """Return a difference with its sign and three digits."""
    return "–" if value is None or math.isnan(value) else f"{value:+.3f}"


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
    lines += [f"- **missed**: {_cell(each)}" for each in found["missed"]]
    lines += [f"- **fault**: {_fault(fault)}" for fault in found["faults"]]
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
        console.print(f"fault: {_fault(fault)}", style="yellow", markup=False)
    for title, header, rows in _narrow(found):
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE)
        table.collapse_padding, table.pad_edge = True, False
        for i, name in enumerate(header):
            widest = max((len(row[i]) for row in rows), default=0)
            side: Literal["left", "right"] = "left" if i == 0 or widest > WIDEST else "right"
            table.add_column(name, justify=side, min_width=min(widest, WIDEST))
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(found["verdict"], markup=False)


def _narrow(found: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """Return the tables of a terminal: no geometry, and not every metric."""
    tables = []
    for title, header, rows in all_tables(found)[:-1]:
        kept = [i for i, name in enumerate(header) if name not in UNSHOWN]
        tables.append((title, [header[i] for i in kept], [[row[i] for i in kept] for row in rows]))
    return tables


def _fault(fault: dict[str, Any]) -> str:
    examples = ", ".join(map(_cell, fault["examples"][:3]))
    return f"{_cell(fault['message'])}{f' ({examples})' if examples else ''}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
