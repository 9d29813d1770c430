"""Command lines of typed functions, and what jsonargparse says of a mistake, in one line."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser

from mmembed.cli.error_advice import option
from mmembed.errors import ConfigError, MmembedError


class OptionParser(ArgumentParser):
    """A parser whose help shows options with hyphens."""

    def format_help(self, *given: Any, **named: Any) -> str:
        """Return the help."""
        text = super().format_help(*given, **named)
        return re.sub(r"--[a-z]\w*", lambda name: option(name[0][2:]), text)


def call(function: Callable[..., Any], words: list[str], positional: tuple[str, ...]) -> Any:
    """Call ``function`` with the options that ``words`` give, and return what it returns.

    Args:
        function: its signature makes the options, its docstring the help. Options may be written
            with hyphens or underscores; one that is true or false is switched on by its name.
            A parameter that is a dataclass gives an option for each of its fields.
        words: the command's name (``mmembed embed``), then its arguments.
        positional: parameters that are given without ``--name``, in order; one with a default may
            be left out.

    Raises:
        ConfigError: the words do not fit.
    """
    parser = OptionParser(prog=words[0], exit_on_error=False)
    document = docstring_parser.parse(function.__doc__ or "")
    parser.description = document.short_description
    said = {p.arg_name: (p.description or "").replace("\n", " ") for p in document.params}
    hints = get_type_hints(function)
    for name in positional:
        default = inspect.signature(function).parameters[name].default
        optional = {} if default is inspect.Parameter.empty else {"nargs": "?", "default": default}
        parser.add_argument(name, type=hints[name], help=said.get(name, ""), **optional)
    hints.pop("return", None)
    groups: dict[str, Any] = {n: k for n, k in hints.items() if dataclasses.is_dataclass(k)}
    skipped: set[str | int] = {*positional, *groups}
    parser.add_function_arguments(function, skip=skipped, as_positional=False)
    for group in groups.values():
        parser.add_class_arguments(group)
        hints |= get_type_hints(group)
    try:
        flags = {f"--{name}" for name, kind in hints.items() if kind is bool}
        given = parser.parse_args(_switched([underscored(word) for word in words[1:]], flags))
    except MmembedError:
        raise
    except Exception as error:
        raise explain(
            error, option_names(parser), lambda name: name if name in positional else option(name)
        ) from None
    options = parser.instantiate(given).as_dict()
    for name, group in groups.items():
        fields = [field.name for field in dataclasses.fields(group)]
        options[name] = group(**{field: options.pop(field) for field in fields})
    return function(**options)


def underscored(word: str) -> str:
    """Return an option such as ``--batch-size=8`` as ``--batch_size=8``; other words as given.

    A name with dots is a key of a config, which may have hyphens of its own.
    """
    name, equals, value = word.partition("=")
    is_option = name.startswith("--") and len(name) > 2 and "." not in name
    return "--" + name[2:].replace("-", "_") + equals + value if is_option else word


def _switched(words: list[str], flags: set[str]) -> list[str]:
    """Return ``--flag`` as ``--flag=true``, unless a value follows it."""
    following = [*words, ""][1:]
    return [
        f"{word}=true" if word in flags and after.lower() not in ("true", "false") else word
        for word, after in zip(words, following, strict=True)
    ]


def option_names(parser: ArgumentParser) -> list[str]:
    """Return the names that a parser and its subcommands know, dots included."""
    names = []
    for action in parser._actions:
        names.append(action.dest)
        for below in (getattr(action, "_name_parser_map", None) or {}).values():
            names += option_names(below)
    return [name for name in dict.fromkeys(names) if name]


def explain(
    error: Exception, known: Iterable[str], shown: Callable[[str], str] = str
) -> ConfigError:
    """Return jsonargparse's ``error`` as one line that names the option and a way out.

    Args:
        error: as it was raised.
        known: the names that the parser knows.
        shown: a name as the user writes it.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    explained = re.search(r"unknown option or config key .*|no class .*", text)
    where = re.search(r'Parser key "([^"]+)"', text)
    prefix = f"{shown(where[1])}: " if where else ""
    if explained:
        return ConfigError(f"{prefix}{explained.group()}")
    key = _first(UNKNOWN_KEY, text)
    if key is not None:
        near = _nearest(key, known)
        hint = f"; did you mean {shown(near)}?" if near else ""
        return ConfigError(f"unknown option or config key {key}{hint}")
    path = _first([r"Expected a dot import path string: (\S+)"], text)
    if path is not None:
        near = _nearest(path, _class_names())
        return ConfigError(f"{prefix}no class {path}{f'; did you mean {near}?' if near else ''}")
    missing = _first([r"arguments are required: (.*)"], text)
    if missing is not None:
        lacking = ", ".join(shown(re.sub(SUBCOMMAND, "", name)) for name in missing.split(", "))
        return ConfigError(f"missing: {lacking}. Give it as an option or in a --config file.")
    return ConfigError(f"{prefix}{_reason(text) or type(error).__name__}"[:400])


SUBCOMMAND = r"^(fit|validate|test|predict)\."
UNKNOWN_KEY = (
    r"[Uu]nrecognized arguments?: (\S+)",
    r"does not accept option '([^']+)'",
    r"Option '([^']+)' is not accepted",
    r"Key ['\"]([^'\"]+)['\"] is not expected",
    r"[Nn]o action for key ['\"]([^'\"]+)['\"]",
    r"does not accept nested key ['\"]([^'\"]+)['\"]",
)


def _reason(text: str) -> str:
    """Return what was expected and what was given, without the words around it."""
    lines = [re.sub(r"<class '([\w.]+)'>", r"\1", line.strip(" -")) for line in text.splitlines()]
    wanted = [line for line in lines if re.match(r"Expected|.*\bmust\b", line)]
    wanted = [re.sub(r"^Expected (an? )?", "", line) for line in wanted if "NoneType" not in line]
    given = _first([r"(?s)Given value: (.*)", r"(?s)Got value: (.*)"], text)
    if wanted and given is not None:
        expected = " or ".join(dict.fromkeys(re.sub(r"\. Got value.*", "", w) for w in wanted))
        return f"expected {expected}, got {' '.join(given.split())[:100]}"
    useful = [line for line in lines if line and not line.startswith(("Parser key", "For more"))]
    return re.sub(r"^(error: )+", "", useful[-1]) if useful else ""


def _first(patterns: Iterable[str], text: str) -> str | None:
    matches = (re.search(pattern, text) for pattern in patterns)
    return next((match[1] for match in matches if match), None)


def _nearest(key: str, known: Iterable[str]) -> str:
    """Return the name that was most likely meant by ``key``; empty if none is near."""
    key = key.split("=")[0].lstrip("-")
    others = [name for name in known if name != key]
    near = difflib.get_close_matches(key, others, n=1, cutoff=0.75)
    if not near:
        short = {name.rsplit(".", 1)[-1]: name for name in reversed(others)}
        last = difflib.get_close_matches(key.rsplit(".", 1)[-1], short, n=1, cutoff=0.6)
        near = [short[name] for name in last]
    if not near:
        first = {name.split(".")[0] for name in others}
        near = difflib.get_close_matches(key.split(".")[0], first, n=1)
    return near[0] if near else ""


def _class_names() -> set[str]:
    """Return the classes of this package that a config can name by now."""
    modules = [m for name, m in sys.modules.items() if name.startswith("mmembed.")]
    return {n for m in modules for n, v in vars(m).items() if isinstance(v, type) and n[0] != "_"}
