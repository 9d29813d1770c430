"""``mmembed compact OUT``."""

from __future__ import annotations

from mmembed.cli.arguments import call
from mmembed.errors.plain_text import say
from mmembed.jobs.compact import compact


def run(words: list[str]) -> int:
    """Compact as ``words`` say and print the summary."""
    say(call(compact, [f"mmembed {words[0]}", *words[1:]], ("out",)))
    return 0
