"""``mmembed embed``, with the space loaded before the clock starts, as that of its peers is."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

from outcome import Task, Timer

from mmembed.embedding.embed import embed
from mmembed.embedding.engines import local


def main() -> None:
    task = Task.told()
    space = task.weights / task.kind
    loaded = local.load_space(space)
    local.load_space = lambda *_: loaded
    timer = Timer()
    embed(task.media, task.out, space=space)
    timer.stop()


if __name__ == "__main__":
    main()
