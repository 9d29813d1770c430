"""``mmembed embed SOURCE OUT --space SPACE`` and ``mmembed bench SOURCE --space SPACE``."""

from __future__ import annotations

from mmembed.cli.arguments import call
from mmembed.embedding.embed import embed_as
from mmembed.errors import VerdictError
from mmembed.errors.plain_text import say


def run(words: list[str]) -> int:
    """Do the job that ``words`` name and print its summary."""
    name = [f"mmembed {words[0]}", *words[1:]]
    try:
        if words[0] == "bench":
            from mmembed.jobs.bench import bench

            say(call(bench, name, ("source",)))
        else:
            say(call(embed_as, name, ("source", "out")))
    except VerdictError as error:
        say(error.summary)
        raise
    return 0
