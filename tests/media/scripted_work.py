"""Work of a guarded pool that does what its task says, step by step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmembed.media import progress

Step = tuple[str, Any]


def work(steps: list[Step]) -> Iterator[Any]:
    """Yield what the steps say.

    ``give`` yields its value, ``process`` the number of this process; ``wait`` sleeps so many
    seconds; ``report`` and ``begin`` tell progress; ``note`` adds a line to a file; ``die`` kills
    the process; ``fail`` raises an error, ``unsendable`` one of its own; ``lambda`` yields one.
    """
    for step, value in steps:
        if step == "give":
            yield value
        elif step == "process":
            yield os.getpid()
        elif step == "wait":
            time.sleep(value)
        elif step == "report":
            progress.report(value)
        elif step == "begin":
            progress.begin(value)
        elif step == "note":
            with Path(value).open("a") as file:
                file.write("x\n")
        elif step == "die":
            os.kill(os.getpid(), value)
        elif step == "fail":
            raise value
        elif step == "unsendable":
            raise Unsendable(1, 2)
        elif step == "lambda":
            yield lambda: 0


class Unsendable(Exception):
    """An error that can't be made again from its arguments."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
