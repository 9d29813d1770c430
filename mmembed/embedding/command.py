"""``mmembed embed SOURCE OUT --space SPACE`` and ``mmembed bench SOURCE --space SPACE``."""

from __future__ import annotations

from mmembed.embedding.bench import bench
from mmembed.embedding.folder import embed
from mmembed.errors import VerdictError
from mmembed.options import call


def run(words: list[str]) -> int:
    """Do the job that ``words`` name and print its summary."""
    job, positional = {"embed": (embed, ("source", "out")), "bench": (bench, ("source",))}[words[0]]
    try:
        print(call(job, [f"mmembed {words[0]}", *words[1:]], positional))
    except VerdictError as error:
        print(error.summary)
        raise
    return 0
