"""``mmembed evaluate OUT [OTHER] --report DIR``."""

from __future__ import annotations

import sys

from mmembed.cli.arguments import call
from mmembed.errors.plain_text import plain, say
from mmembed.evaluation.evaluate import evaluate_as
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.tables import print_tables
from mmembed.paths import shown


def run(words: list[str]) -> int:
    """Evaluate as ``words`` say, print the tables and where the report is.

    Returns 1 if a score is not what ``--fail-under`` asks for.
    """
    name = f"mmembed {words[0]}"
    evaluation: Evaluation = call(evaluate_as, [name, *words[1:]], ("embeddings", "against"))
    print_tables(evaluation)
    if evaluation.report is not None:
        say(f"report: {shown(evaluation.report)}")
    for each in evaluation.missed:
        say(f"mmembed: --fail-under: {plain(each)}", sys.stderr)
    return 1 if evaluation.missed else 0
