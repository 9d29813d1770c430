"""``mmembed evaluate OUT --report DIR``."""

from __future__ import annotations

from mmembed.evaluation.findings import Evaluation
from mmembed.evaluation.judge import evaluate
from mmembed.evaluation.tables import print_tables
from mmembed.options import call


def run(words: list[str]) -> int:
    """Evaluate as ``words`` say, print the tables and where the report is."""
    found: Evaluation = call(evaluate, [f"mmembed {words[0]}", *words[1:]], ("embeddings",))
    print_tables(found)
    if found.report is not None:
        print(f"report: {found.report}")
    return 0
