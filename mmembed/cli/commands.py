"""The ``mmembed`` command: one table of commands, each imported only when it is called.

A user's mistake comes out as ``mmembed: error: …`` and exit code 2, never as a traceback.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from mmembed.cli.error_advice import error_text, result_text, stop_text
from mmembed.errors import ConfigError, MmembedError, Terminated, VerdictError
from mmembed.errors.plain_text import say, show_unencodable


class Command(NamedTuple):
    """A row of the table of commands.

    Attributes:
        module: imported only when the command is called.
        function: typed; its parameters become options, and what it returns is printed.
        help: what the command does, for the list of all.
        positional: parameters of ``function`` that are given without their names, in order; None
            for a function that takes the words of the command line and returns the exit code.
    """

    module: str
    function: str
    help: str
    positional: tuple[str, ...] | None = None

    def call(self, words: list[str]) -> int:
        """Run the command and return its exit code.

        Args:
            words: its name, then its arguments.
        """
        function = getattr(importlib.import_module(self.module), self.function)
        if self.positional is None:
            return function(words)
        from mmembed.cli.arguments import call

        say(result_text(call(function, [f"mmembed {words[0]}", *words[1:]], self.positional)))
        return 0


COMMANDS: dict[str, Command] = {
    "fit": Command("mmembed.cli.fit", "run", "train a space from a config"),
    "validate": Command("mmembed.cli.fit", "run", "score a checkpoint on the val split"),
    "test": Command("mmembed.cli.fit", "run", "score a checkpoint on the test split"),
    "predict": Command("mmembed.cli.fit", "run", "vectors of the test split, in memory"),
    "embed": Command(
        "mmembed.embedding.embed",
        "embed_as",
        "a folder or manifest of media to Parquet",
        ("source", "out"),
    ),
    "bench": Command(
        "mmembed.jobs.bench", "bench", "where the time goes when a folder is embedded", ("source",)
    ),
    "compact": Command(
        "mmembed.jobs.compact", "compact", "merge the small parts of a dataset", ("out",)
    ),
    "rebind": Command(
        "mmembed.jobs.rebind",
        "rebind",
        "bind a dataset to the place its media moved to",
        ("out", "source"),
    ),
    "evaluate": Command("mmembed.cli.evaluate", "run", "a Parquet dataset to scores and a report"),
}


def run() -> int:
    """Run :func:`main` for a process that ends with it.

    Python looks through all objects as it ends, which takes a second or two after torch was
    imported, and frees nothing that the end of the process would not.
    """
    code = main()
    gc.freeze()
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 if what came of it is not what was asked for.

    A user's mistake is 2, Ctrl-C 130, SIGTERM 143.

    Args:
        arguments: words of the command line, without ``mmembed``; None takes the process's own.
    """
    # Threads that wait for work must not spin: decode workers and other programs want the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    show_unencodable()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        say(usage())
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version  # takes longer than all else that is imported here

        say(f"mmembed {version('mmembed')}")
        return 0
    try:
        with terminated_by_signal():
            return command(words[0])(words)
    except Terminated as stop:
        way_on = stop_text(stop)
        say(f"mmembed: stopped by SIGTERM{': ' if way_on else ''}{way_on}", sys.stderr)
        return stop.exit_code
    except MmembedError as error:
        if isinstance(error, VerdictError) and str(error.summary):
            say(result_text(error.summary))
        say(f"mmembed: error: {error_text(error)}", sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        say("mmembed: stopped", sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


@contextmanager
def terminated_by_signal() -> Iterator[None]:
    """Raise :class:`Terminated` where SIGTERM arrives inside, and at the end if it got lost.

    A SIGTERM that is ignored, or that the calling program handles, is left to it. Only the first
    one raises, so that the clean-up is not disturbed.
    """
    usual = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[Terminated] = []

    def stop(*_: object) -> None:
        if not arrived:
            arrived.append(Terminated())
            raise arrived[0]

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException:
        if not arrived:
            raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if arrived:
        raise arrived[0]


def usage() -> str:
    """Return the help text: a line a command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {row.help}" for name, row in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mmembed COMMAND ...",
            "",
            "Images, sounds and videos to vectors in one space, to Parquet, to a verdict.",
            "",
            *lines,
            "",
            "mmembed COMMAND --help says more; mmembed --version says which one this is.",
        ]
    )


def command(name: str) -> Callable[[list[str]], int]:
    """Return what runs the command of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
        raise ConfigError(f"there is no command {name}; {hint}")
    return COMMANDS[name].call
