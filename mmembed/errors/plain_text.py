"""Text for people: what a stranger wrote is shown as text, and no secret is in it.

Names, labels and errors come out of files and libraries. They may hold control characters that a
terminal obeys, Markdown, and URLs with passwords. Everything that is printed goes through here.
"""

from __future__ import annotations

import io
import re
import reprlib
import sys
from typing import IO

# C0 and C1, lines' and paragraphs' ends, marks that turn the direction of writing, surrogates
CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
LONGEST_LINE = 300
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
URL_START = r"\b([A-Za-z][A-Za-z0-9+.-]{1,30}:/{1,2})"
PORT = r"(?:\d{2,5}(?:[/?#\s,;.)\]'\"]|$)|[/?#\s]|$)"
# name and password before the host, also where a slash in the password was not escaped
USER = re.compile(rf"{URL_START}(?:[^\s/?#@:\[]+:(?!{PORT})(?:\S*@|[^\s/?#'\"]+)|[^\s/]*@)")
QUERY = re.compile(rf"{URL_START}([^\s?]*)\?(?=\S)\S*?(?=[:,.;)\]'\"]*(?:\s|$))")
SECRET_NAME = (
    r"(?:secret|passw|token(?!i[sz])|credential|signature|access_key|api_?key|account_key)"
)
SECRET = re.compile(
    rf"(?i)((?<![\w-])[\w-]{{0,40}}?{SECRET_NAME}[\w-]{{0,40}}(?:\s?=\s?|['\"]\s*:\s*))(?:'[^']*'|\"[^\"]*\"|[^\s&,;)}}\]'\"]+)"
)
MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&$#!]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def plain(text: object) -> str:
    r"""Return text as one line without control characters: they are shown, as ``\x1b`` or ``\n``.

    A byte of a file's name that is not UTF-8 is shown as ``\xNN``. What is shown once stays as it
    is when it is shown again.
    """
    return CONTROL.sub(_visible, str(text))


def _visible(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that it can't decode
        code -= 0xDC00
    return NAMED.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def redacted(text: str) -> str:
    """Return text with the URLs in it bare: no name and password, no options after a ``?``.

    Values that are called a secret, a password, a token or a key are left out too.
    """
    return SECRET.sub(r"\1…", QUERY.sub(r"\1\2", without_user(text)))


def without_user(text: str) -> str:
    """Return text with the URLs in it without their names and passwords."""
    return USER.sub(r"\1", text)


def plain_lines(text: object) -> str:
    """Return text with its lines as lines, all else :func:`plain`, and no secret in it."""
    return "\n".join(plain(line) for line in redacted(str(text)).split("\n"))


def say(text: object, file: IO[str] | None = None) -> None:
    """Print text as :func:`plain_lines`.

    Args:
        text: what ``str`` makes text of.
        file: where to; None for standard output.
    """
    print(plain_lines(text), file=sys.stdout if file is None else file, flush=True)


def show_unencodable() -> None:
    r"""Let this process print what its terminal has no characters for, as ``\xNN``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def markdown_text(text: object) -> str:
    """Return text as Markdown that says just that: no link, picture, markup or end of a cell."""
    return MARKDOWN.sub(r"\\\g<0>", plain(text))


def one_line(text: object) -> str:
    """Return a text, such as a library's error, as one line; its type's name if it is empty."""
    words = " ".join(str(text).split())
    return plain(words)[:LONGEST_LINE] or type(text).__name__


def reason(error: Exception) -> str:
    """Return why something failed, in one line: what the system says, else the error's text."""
    return one_line(getattr(error, "strerror", None) or error)


def brief(value: object) -> str:
    """Return a value out of somebody's file as short text in one line, whatever it is."""
    return plain(_BRIEF.repr(value))


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80
