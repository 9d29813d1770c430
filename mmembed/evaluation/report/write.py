"""The offline page, the JSON, the Markdown and the queries of an evaluation."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mmembed.errors.plain_text import CONTROL, plain
from mmembed.evaluation.queries import query_table
from mmembed.evaluation.report.charts import MOST_LABELS, chart_data
from mmembed.evaluation.report.gallery import LISTS, Gallery, by_importance, choose, moved
from mmembed.evaluation.report.item_words import describe
from mmembed.evaluation.report.matrix import matrices, shifts, tiles
from mmembed.evaluation.report.media_cards import MediaCards, fit, media_cards
from mmembed.evaluation.report.media_files import MediaFiles
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.retrieval.metrics import MAIN
from mmembed.evaluation.tables import all_tables, input_word, markdown, number, signed, span
from mmembed.store.whole_file import write_whole

PAGE_BYTES = 14_900_000
SCRIPTS = ("report.js", "media.js", "charts.js", "map.js")


def write_report(evaluation: Evaluation, folder: Path, media: MediaFiles) -> Path:
    """Write the report and return the path of its page.

    Files are ``report.html``, which needs no network, ``report.json`` and ``report.md`` with the
    same numbers, and ``queries.parquet`` with a row a query and direction.

    Args:
        evaluation: the results.
        folder: made if need be.
        media: the files that pictures and sounds are made of; others are shown by name, and the
            page says how many and why.

    Raises:
        StoreError: the disk is full, or the folder can't be written to.
    """
    numbers = evaluation.to_dict()
    text = _json_text(numbers)
    table, page = query_table(evaluation), folder / "report.html"
    write_whole(folder / "report.json", _text(text + "\n"))
    write_whole(folder / "report.md", _text(markdown(numbers)))
    write_whole(folder / "queries.parquet", lambda p: pq.write_table(table, p, compression="zstd"))
    write_whole(page, _text(_page(evaluation, numbers, media)))
    return page


def _json_text(numbers: dict[str, Any]) -> str:
    """Return numbers and names as JSON that a terminal shows as text: control as ``\\uNNNN``."""
    text = json.dumps(_finite(numbers), indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(f"(?!\n){CONTROL.pattern}", lambda match: f"\\u{ord(match[0]):04x}", text)


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, "utf-8", errors="replace")


def _page(evaluation: Evaluation, numbers: dict[str, Any], media: MediaFiles) -> str:
    """Return the page; its pictures and sounds fill what the rest leaves of its size."""
    galleries = [choose(evaluation.items, direction) for direction in evaluation.directions]
    changed = _changed(evaluation)
    charts = chart_data(evaluation, numbers)
    made, unshown = media_cards(
        evaluation.items,
        by_importance([*galleries, *changed]),
        _mixed([point["i"] for point in charts["map"]]),
        media,
    )
    plotly, script = get_plotlyjs(), "\n".join(map(_template_file, SCRIPTS))
    environment = Environment(
        loader=PackageLoader("mmembed.evaluation.report"),
        autoescape=True,
        finalize=_legible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "span": span, "signed": signed}
    environment.globals["item"] = lambda index: describe(evaluation.items, [index])[index]

    def render(cards: MediaCards) -> str:
        shown = {"pictures": cards.pictures, "sounds": cards.sounds}
        return environment.get_template("report.html.j2").render(
            numbers=numbers,
            of=input_word(numbers),
            main=MAIN,
            sentences=evaluation.sentences,
            notions=evaluation.notions,
            tiles=tiles(numbers),
            matrices=matrices(numbers),
            shifts=shifts(evaluation.comparison.changes) if evaluation.comparison else [],
            galleries=galleries,
            changed=changed,
            first=_weakest(evaluation),
            list_notes=LISTS,
            most_labels=MOST_LABELS,
            tables=all_tables(numbers),
            cards=cards,
            unshown=unshown,
            points=len(charts["map"]),
            charts=_script_safe(_plain(charts)),
            media=_script_safe(shown),
            plotly=plotly,
            script=script,
            hashes=[_hash(plotly), _hash(script)],
        )

    bare = render(MediaCards({}, {}, len(made), len(made), len(made)))
    return render(fit(made, PAGE_BYTES - len(bare.encode("utf-8", "replace"))))


def _weakest(evaluation: Evaluation) -> int:
    """Return the place of the direction that scores least under the first notion of relevance."""
    first = [i for i, d in enumerate(evaluation.directions) if d.relevance == evaluation.notions[0]]
    return min(first, key=lambda i: evaluation.directions[i].result.mean(MAIN), default=0)


def _changed(evaluation: Evaluation) -> list[Gallery]:
    """Return the queries that changed most, of each direction in which any did."""
    if evaluation.comparison is None:
        return []
    each = [
        moved(evaluation.items, direction, evaluation.comparison)
        for direction in evaluation.directions
    ]
    return [gallery for gallery in each if gallery.examples]


def _mixed(points: list[int]) -> list[int]:
    """Return points in an order in which any first part is spread evenly over all of them."""
    bits = max(1, len(points) - 1).bit_length()
    turned = sorted(range(len(points)), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    return [points[i] for i in turned]


def _template_file(name: str) -> str:
    return files("mmembed.evaluation.report").joinpath("templates", name).read_text("utf-8")


def _hash(script: str) -> str:
    """Return the name of a script in a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _legible(value: Any) -> Any:
    """Return a value for a template, control characters as text; markup of its own as it is."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _plain(value: Any) -> Any:
    """Return JSON-ready data with the control characters of its texts shown as text."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else _legible(value)


def _script_safe(data: Any) -> str:
    """Return JSON that can't end the script element it stands in."""
    text = json.dumps(_finite(data), ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
