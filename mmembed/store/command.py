"""``mmembed compact OUT``."""

from __future__ import annotations

from mmembed.options import call
from mmembed.output import say
from mmembed.store.compact import compact


def run(words: list[str]) -> int:
    """Compact as ``words`` say and print the summary."""
    say(call(compact, [f"mmembed {words[0]}", *words[1:]], ("out",)))
    return 0
