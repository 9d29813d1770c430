"""Errors and summaries as the command line shows them: with options as they are typed there.

An error says in a sentence what was wrong, and names parameters as Python does. Only here do they
become options: ``part_rows`` is ``--part-rows``.
"""

from __future__ import annotations

from mmembed.errors import MmembedError, Terminated


def option(name: str, value: object = None) -> str:
    """Return a parameter as it is typed: ``--part-rows``, or ``--part-rows 0``."""
    typed = f"--{name.replace('_', '-')}"
    return typed if value is None else f"{typed} {value}"


def error_text(error: MmembedError) -> str:
    """Return what an error says, with the option that it is about and those that help.

    >>> error_text(MmembedError("must be positive", "part_rows", 0))
    '--part-rows 0: must be positive'
    >>> error_text(MmembedError("Scale it down, or raise the limit.", advice="max_pixels"))
    'Scale it down, or raise the limit (--max-pixels).'
    """
    start = f"{option(error.option, error.value)}: " if error.option else ""
    sentence, stop = error.sentence.removesuffix("."), error.sentence[-1:] == "."
    named = ", ".join(_typed(each) for each in error.advice.split())
    return f"{start}{sentence}{f' ({named})' if named else ''}{'.' if stop else ''}"


def stop_text(stop: Terminated) -> str:
    """Return how a run that SIGTERM stopped goes on: ``--ckpt-path last goes on``; empty if not."""
    start = f"{option(stop.option, stop.value)} " if stop.option else ""
    return f"{start}{stop.sentence}"


def result_text(result: object) -> str:
    """Return a job's result as text, and the options that help with files that failed.

    Args:
        result: printed as ``str`` makes text of it; one with a counter ``advice`` gets a line more.
    """
    advice = getattr(result, "advice", None)
    if not advice:
        return str(result)
    named = ", ".join(f"{_typed(each)} ({count:,})" for each, count in advice.most_common())
    return f"{result}\noptions that help with failed files: {named}"


def _typed(advice: str) -> str:
    name, equals, value = advice.partition("=")
    return option(name, value if equals else None)
