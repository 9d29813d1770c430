"""Judgements of relevance from a file: TREC text, CSV, TSV, JSONL or Parquet.

Ids are taken as they are written: zeros in front, blanks in a table's cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmembed.errors import ConfigError, StoreError
from mmembed.errors.plain_text import one_line
from mmembed.evaluation.items import Items
from mmembed.evaluation.retrieval.relevance import Judged, Spans
from mmembed.store.column_types import is_text
from mmembed.store.external import read_table, way_out

TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
NAMES = {
    "query": ("query", "query_id", "query-id", "qid"),
    "target": ("target", "target_id", "corpus_id", "corpus-id", "docid", "document"),
    "grade": ("grade", "relevance", "score", "rel"),
    "start_s": ("start_s",),
    "end_s": ("end_s",),
}


@dataclass(frozen=True)
class Qrels:
    """Judgements of relevance: a query, a target and a grade each.

    Attributes:
        query: path of each judgement's query ``(judgements,)``.
        target: path of its target.
        grade: above 0; what was judged irrelevant is left out.
        spans: where in the target the relevant moment is; NaN for all of it.
    """

    query: np.ndarray
    target: np.ndarray
    grade: np.ndarray
    spans: Spans

    def __len__(self) -> int:
        return len(self.query)

    def unknown(self, items: Items) -> tuple[list[str], list[str]]:
        """Return the queries and the targets that are judged but not among ``items``."""
        known = set(items.path)
        return sorted(set(self.query) - known), sorted(set(self.target) - known)

    def between(self, queries: Items, targets: Items) -> Judged:
        """Return the judgements of one direction.

        Of a file that is there as moments, those count that overlap the judged one.
        """
        low, high = (np.searchsorted(targets.path, self.target, s) for s in ("left", "right"))
        places = Spans(targets.start, targets.end)
        best: list[dict[int, float]] = [{} for _ in range(len(queries))]
        first, last = (np.searchsorted(queries.path, self.query, s) for s in ("left", "right"))
        for i, (start, end) in enumerate(zip(self.spans.start, self.spans.end, strict=True)):
            if first[i] == last[i] or low[i] == high[i]:
                continue
            moments = np.arange(low[i], high[i])
            moments = moments[places.overlaps(start, end, moments)]
            for query in range(first[i], last[i]):
                for target in moments.tolist():
                    best[query][target] = max(self.grade[i], best[query].get(target, 0.0))
        ordered = [sorted(each.items()) for each in best]
        flat = [pair for each in ordered for pair in each]
        starts = np.append(0, np.cumsum([len(each) for each in ordered])).astype(int)
        return Judged(
            starts, np.array([t for t, _ in flat], int), np.array([g for _, g in flat], float)
        )


def read_qrels(path: str | Path) -> Qrels:
    """Read judgements; paths are those of the dataset's column ``path``.

    ``.parquet``, ``.csv``, ``.tsv`` and ``.jsonl`` have the columns ``query`` and ``target``, and
    may have ``grade`` (1 if absent), and ``start_s`` and ``end_s`` of the relevant moment of the
    target; the names of BEIR (``query-id``, ``corpus-id``, ``score``) are known too. Any other is
    TREC's: query, a word that is not used, target and grade, apart by spaces or tabs. Blanks around
    names of columns and around numbers do not count; those in ids do.

    Raises:
        ConfigError: no such file, or not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError("no such file", "qrels", path)
    is_table = path.suffix.lower() in TABLES
    if not is_table and way_out(path):
        raise ConfigError(way_out(path), "qrels", path)
    try:
        table = read_table(path, None) if is_table else _trec(path)
    except StoreError as error:
        raise ConfigError(str(error).removeprefix(f"{path}: "), "qrels", path) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't be read: {one_line(error)}", "qrels", path) from None
    return _judgements(path, table)


def _trec(path: Path) -> pa.Table:
    rows = []
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), 1):
        words = [word for word in re.split("[ \t]+", line) if word]
        if words and len(words) != 4:
            raise ConfigError(
                f"line {number} has {len(words)} words, not the 4 of TREC (query 0 target grade). "
                "Paths with spaces need a .csv or .parquet.",
                "qrels",
                path,
            )
        if words:
            rows.append((words[0], words[2], words[3]))
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(dict(zip(("query", "target", "grade"), map(list, columns), strict=True)))


def _judgements(path: Path, table: pa.Table) -> Qrels:
    table = table.rename_columns([name.strip() for name in table.column_names])

    def column(name: str, kind: pa.DataType) -> np.ndarray | None:
        given = next((each for each in NAMES[name] if each in table.column_names), None)
        if given is None:
            return None
        if table.column_names.count(given) > 1:
            raise ConfigError(f"has two columns {given}", "qrels", path)
        try:
            values = table[given]
            if is_text(values.type):
                values = values.cast(pa.string())
                if kind != pa.string():
                    values = pc.utf8_trim_whitespace(values)
                values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
            return values.cast(kind).to_numpy()
        except (pa.ArrowException, ValueError):
            raise ConfigError(f"column {given} is not {kind}", "qrels", path) from None

    query, target = column("query", pa.string()), column("target", pa.string())
    if query is None or target is None:
        missing = "query" if query is None else "target"
        raise ConfigError(
            f"no column {missing}; it has {', '.join(table.column_names)}", "qrels", path
        )
    grade = column("grade", pa.float64())
    grades = np.ones(len(query)) if grade is None else grade
    broken = pa.array(query).null_count + pa.array(target).null_count + (~np.isfinite(grades)).sum()
    if broken:
        lack = f"{broken} judgements lack a query, target or grade"
        raise ConfigError(lack, "qrels", path)
    nowhere = np.full(len(query), np.nan)
    start, end = column("start_s", pa.float64()), column("end_s", pa.float64())
    kept = grades > 0
    if not kept.any():
        raise ConfigError("nothing in it is relevant (no grade above 0)", "qrels", path)
    spans = (nowhere if each is None else each for each in (start, end))
    return Qrels(query[kept], target[kept], grades[kept], Spans(*(each[kept] for each in spans)))
