"""Processes that do not run the user's script again.

Processes that are started afresh import the main module of the one that starts them, which takes
as long as all that it imports, and starts processes again where it does so outside an
``if __name__ == "__main__":``. Work that lives in other modules needs none of that.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any

_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_USUAL: Any = multiprocessing.get_context(_METHOD)
_Process: Any = _USUAL.Process
_Context: Any = type(_USUAL)
_SWAPPING = threading.Lock()


class Process(_Process):
    """A process that leaves the main module out."""

    @staticmethod
    def _Popen(process: Any) -> Any:
        with _main_left_out():
            return _Process._Popen(process)


class Context(_Context):
    """Starts such processes."""

    Process = Process


def fresh_context(work: object) -> Any:
    """Return the multiprocessing context that starts processes for ``work``, and never forks.

    They import the main module only if ``work`` is, or holds, something that is defined there.
    """
    return _USUAL if b"__main__" in bytes(ForkingPickler.dumps(work)) else Context()


def start_server(modules: Sequence[str]) -> None:
    """Start the process that all later ones are forked from, and return while it gets ready.

    Python keeps one of them (its ``forkserver``), so a second call changes nothing. Where there
    is none, on Windows, nothing happens.

    Args:
        modules: imported there once, for every process.
    """
    if _METHOD == "forkserver":
        from multiprocessing import forkserver

        _USUAL.set_forkserver_preload(list(modules))
        forkserver.ensure_running()


@contextmanager
def _main_left_out() -> Iterator[None]:
    with _SWAPPING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
