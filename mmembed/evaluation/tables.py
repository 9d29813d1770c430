"""The numbers of an evaluation as tables: Markdown for files, rich for terminals."""

from __future__ import annotations

import math
from typing import Any, Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmembed.errors.plain_text import markdown_text, plain
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import BY_NAME, MAIN, METRICS

Rows = list[list[str]]
WIDEST = 18  # of a column in the terminal that is not broken into lines
UNSHOWN = ("chance", "top-5 accuracy")  # in a terminal, of classification


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


def input_word(numbers: dict[str, Any]) -> str:
    """Return ``modality``, or ``field`` if a field has a name of its own."""
    return "field" if "fields" in numbers else "modality"


def all_tables(numbers: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """Return title, header and rows of every table of ``Evaluation.to_dict()``."""
    tables: list[tuple[str, list[str], Rows]] = []
    for relevance in dict.fromkeys(r["relevance"] for r in numbers["retrieval"]):
        rows = [
            [f"{r['query']} → {r['target']}", str(r["queries"]), str(r["unanswerable"])]
            + [number(r["metrics"][m.name]) for m in METRICS]
            + [span(r["intervals"][MAIN]), number(r["chance"][MAIN])]
            for r in numbers["retrieval"]
            if r["relevance"] == relevance
        ]
        names = [metric.name for metric in METRICS]
        header = ["direction", "queries", "left out", *names, f"{MAIN}, 95 %", f"chance {MAIN}"]
        tables.append((f"Retrieval, relevant by {relevance}", header, rows))
    if numbers["comparison"]:
        tables += _comparison(numbers["comparison"], input_word(numbers))
    rows = [
        [c["modality"], c["method"]]
        + [number(value) for value in c["metrics"].values()]
        + [span(c["intervals"]["accuracy"]), number(c["chance"]), c["protocol"]]
        for c in numbers["classification"]
    ]
    if rows:
        metrics = list(numbers["classification"][0]["metrics"])
        header = [input_word(numbers), "method", *metrics, "accuracy, 95 %", "chance", "protocol"]
        tables.append(("Classification", header, rows))
    rows = [[name, number(value)] for name, value in numbers["geometry"].items()]
    tables.append(("Geometry", ["what", "value"], rows))
    return tables


def _comparison(numbers: dict[str, Any], of: str) -> list[tuple[str, list[str], Rows]]:
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
        for c in numbers["changes"]
        if "changes" in BY_NAME[c["metric"]].shown
    ]
    header = ["relevant by", "direction", "metric", "queries", "here", "other", "difference"]
    tables = [(f"Against {numbers['other']}", [*header, "95 %", "p (Holm)"], changes)]
    moved = [
        [m["relevance"], m["direction"], m["path"], number(m["value"]), number(m["other"])]
        for m in numbers["moved"]
    ]
    if moved:
        header = ["relevant by", "direction", "query", "AP here", "AP other"]
        tables.append(("Queries that changed most", header, moved))
    overlap = [[name, number(value)] for name, value in numbers["neighbour_overlap"].items()]
    if overlap:
        tables.append(("Common nearest neighbours", [of, "share of 10"], overlap))
    return tables


def signed(value: float | None) -> str:
    """Return a difference with its sign and three digits."""
    return "–" if value is None or math.isnan(value) else f"{value:+.3f}"


def markdown(numbers: dict[str, Any]) -> str:
    """Return the whole evaluation as Markdown."""
    space = numbers["space"]
    name, fingerprint = map(markdown_text, (space["name"], space["fingerprint"]))
    counts = ", ".join(f"{count:,} {m}" for m, count in numbers["counts"].items())
    lines = [
        f"# Evaluation of {name}",
        "",
        markdown_text(numbers["verdict"]),
        "",
        f"- files: {markdown_text(counts)}",
        f"- space: {name}, {space['dim']} dimensions, {fingerprint}",
        f"- versions: {', '.join(f'{k} {v}' for k, v in numbers['versions'].items())}",
    ]
    lines += [f"- **missed**: {markdown_text(each)}" for each in numbers["missed"]]
    lines += [f"- **fault**: {markdown_text(_fault(fault))}" for fault in numbers["faults"]]
    lines += ["", "## Protocol", ""]
    lines += [f"- {name}: {markdown_text(text)}" for name, text in numbers["protocol"].items()]
    for title, header, rows in all_tables(numbers):
        lines += ["", f"## {markdown_text(title)}", "", _row(header), "|" + "---|" * len(header)]
        lines += map(_row, rows)
    lines += ["", "## What the metrics mean", ""]
    lines += [f"- {name}: {markdown_text(text)}" for name, text in numbers["metrics"].items()]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def print_tables(evaluation: Evaluation) -> None:
    """Print verdict, faults and tables to the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    numbers = evaluation.to_dict()
    space, scored = Text(plain(numbers["space"]["name"]), "bold"), numbers["protocol"]["scored"]
    console.print(Text.assemble("\n", space, "  ", plain(scored)))
    for topic, line in evaluation.reading.items():
        console.print(Text(plain(f"{topic}: {line}")))
    for fault in numbers["faults"]:
        console.print(Text(plain(f"fault: {_fault(fault)}"), "yellow"))
    for title, header, rows in _narrow(numbers):
        table = Table(title=Text(plain(title), "bold"), title_justify="left", box=SIMPLE)
        table.collapse_padding, table.pad_edge = True, False
        for i, name in enumerate(header):
            widest = max((len(row[i]) for row in rows), default=0)
            side: Literal["left", "right"] = "left" if i == 0 or widest > WIDEST else "right"
            table.add_column(Text(plain(name)), justify=side, min_width=min(widest, WIDEST))
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        console.print(table)
    console.print(Text(plain(numbers["verdict"])))


def _narrow(numbers: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """Return the tables of a terminal: no geometry, and not every metric."""
    hidden = {*UNSHOWN, *(metric.name for metric in METRICS if "terminal" not in metric.shown)}
    tables = []
    for title, header, rows in all_tables(numbers)[:-1]:
        kept = [i for i, name in enumerate(header) if name not in hidden]
        tables.append((title, [header[i] for i in kept], [[row[i] for i in kept] for row in rows]))
    return tables


def _fault(fault: dict[str, Any]) -> str:
    examples = ", ".join(fault["examples"][:3])
    return f"{fault['message']}{f' ({examples})' if examples else ''}"
