"""What jsonargparse says of a wrong option or config, in one line with a way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser

from mmembed.errors import ConfigError, MmembedError


def call(function: Callable[..., Any], words: list[str], positional: tuple[str, ...]) -> Any:
    """Call ``function`` with the options that ``words`` give, and return what it returns.

    Args:
        function: its signature makes the options, its docstring the help.
        words: the job's name, then its arguments.
        positional: parameters that are given without ``--name``, in order.

    Raises:
        ConfigError: the words do not fit.
    """
    parser = ArgumentParser(prog=f"mmembed {words[0]}", exit_on_error=False)
    document = docstring_parser.parse(function.__doc__ or "")
    parser.description = document.short_description
    said = {p.arg_name: (p.description or "").replace("\n", " ") for p in document.params}
    hints = get_type_hints(function)
    for name in positional:
        parser.add_argument(name, type=hints[name], help=said.get(name, ""))
    parser.add_function_arguments(function, skip=set(positional), as_positional=False)
    try:
        given = parser.parse_args(words[1:])
    except MmembedError:
        raise
    except Exception as error:
        raise explain(error, option_names(parser)) from None
    return function(**parser.instantiate_classes(given).as_dict())


def option_names(parser: ArgumentParser) -> list[str]:
    """Return the names that a parser knows, dots included."""
    return [action.dest for action in parser._actions if action.dest]


def explain(error: Exception, known: Iterable[str]) -> ConfigError:
    """Return jsonargparse's ``error`` as one or two lines that name the option and a way out."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    key = _unknown_key(text)
    if key is not None:
        return ConfigError(f"unknown option or config key {key}{_did_you_mean(key, text, known)}")
    lines = [line.strip(" -") for line in text.splitlines() if line.strip()]
    useful = [line for line in lines if not line.startswith(("Parser key", "For more details"))]
    where = re.search(r'Parser key "([^"]+)"', text)
    reason = useful[-1] if useful else (lines[-1] if lines else type(error).__name__)
    reason = re.sub(r"^(error: )+", "", reason)
    prefix = f"{where.group(1)}: " if where and where.group(1) not in reason else ""
    return ConfigError(f"{prefix}{reason[:300]}")


def _unknown_key(text: str) -> str | None:
    for pattern in (
        r"[Uu]nrecognized arguments?: (\S+)",
        r"Key ['\"]([^'\"]+)['\"] is not expected",
        r"Unexpected keys?:? \[?['\"]?([\w.\-]+)",
        r"[Nn]o action for key ['\"]([^'\"]+)['\"]",
        r"Unsupported key ['\"]?([\w.\-]+)",
        r"does not accept nested key ['\"]([^'\"]+)['\"]",
        r"Option '([^']+)' is not accepted",
    ):
        found = re.search(pattern, text)
        if found:
            return found.group(1)
    return None


def _did_you_mean(key: str, text: str, known: Iterable[str]) -> str:
    name = key.split("=")[0].lstrip("-").split(".")[-1]
    names = {full.split(".")[-1]: full for full in known}
    names.update(
        (word, word) for word in re.findall(r"\b([a-z]\w+)\b(?=[,\]'])", text) if word != name
    )
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {names[near[0]]}?" if near else ""
