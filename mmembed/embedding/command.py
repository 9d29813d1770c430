"""``mmembed embed SOURCE OUT --space SPACE``."""

from __future__ import annotations

from mmembed.embedding.folder import embed
from mmembed.errors import VerdictError
from mmembed.options import call


def run(words: list[str]) -> int:
    """Embed as ``words`` say and print the summary."""
    try:
        print(call(embed, [f"mmembed {words[0]}", *words[1:]], ("source", "out")))
    except VerdictError as error:
        print(error.summary)
        raise
    return 0
