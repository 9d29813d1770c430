"""Whatever a stranger wrote is shown as text, in lines, and without secrets."""

from __future__ import annotations

import io
import pickle
import re
import string
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mmembed.errors import ConfigError, MediaError, MmembedError, TruncatedError
from mmembed.errors.plain_text import CONTROL, markdown_text, plain, redacted, say
from mmembed.paths import shown

EVIL = (
    "\x1b]0;owned\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]8;;http://tracker\x1b\\here\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "a\nb\r\tc\x00\x7f",
    "\u202eexe.gnp\u2066\u2028\u061c",
    "caf\udce9 \ud800",
    "[/x][bold]b[/bold] :smile:",
    "[x](javascript:alert(1))![](http://tracker)",
    "| a | b |\n|---|---|",
    "# heading\n\n<img src=http://tracker> <!-- &lt; -->",
    "`code` **b** _i_ ~~s~~ $x$ \\",
    "<http://tracker> http://tracker www.tracker.net",
    "</script><script>alert(1)</script>",
    "\"' onmouseover='alert(1)",
    "{{ 7 * 7 }} {% raw %} %{x} <a href='javascript:alert(1)'>",
)
ANYTHING = st.one_of(
    st.sampled_from(EVIL),
    st.text(st.characters(exclude_categories=())),
    st.text("\\`*_[]()<>#+-.!|~&$:\n x", min_size=1),
)


@given(ANYTHING)
def test_plain_text_is_one_line_without_control_characters(text: str) -> None:
    shown = plain(text)
    assert not CONTROL.search(shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert plain(shown) == shown


def test_plain_text_keeps_what_is_written_and_shows_what_is_not() -> None:
    assert plain("Zoë’s 日本 👩‍🔬 a/b.png") == "Zoë’s 日本 👩‍🔬 a/b.png"
    assert plain("a\x1b[1m\n\u202e\udce9\ud800") == r"a\x1b[1m\n\u202e\xe9\ud800"


@given(ANYTHING)
def test_said_lines_stay_lines(text: str) -> None:
    stream = io.StringIO()
    say(f"one {text}\ntwo", stream)
    lines = stream.getvalue().split("\n")
    assert lines[-2:] == ["two", ""]
    assert not any(CONTROL.search(line) for line in lines)


@given(ANYTHING)
def test_markdown_of_any_text_says_just_that(text: str) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = reader.parse(f"| a | b |\n|---|---|\n| x{markdown_text(text)}x | y |\n")
    assert [t.type for t in tokens].count("td_open") == 2
    cell = next(
        t for t in tokens[tokens.index(next(t for t in tokens if t.tag == "td")) :] if t.children
    )
    assert {t.type for t in cell.children or []} <= {"text", "text_special"}
    assert "".join(t.content for t in cell.children or []) == f"x{plain(text)}x"
    inline = reader.parseInline(f"fault: {markdown_text(text)}")[0].children or []
    assert {t.type for t in inline} <= {"text", "text_special"}


@given(ANYTHING)
def test_errors_are_one_line_of_text(text: str) -> None:
    for error in (
        ConfigError(f"{text}: is no option"),
        MediaError(text, "decode", f"{text}. Leave it out.", "codec"),
        TruncatedError(text, text, "codec", 1.0),
    ):
        assert not CONTROL.search(str(error))
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (f"s3://KEY:{SECRET}@bucket/x: no such", "s3://bucket/x: no such"),
        (f"s3://KEY:a/{SECRET}+b@bucket/x y", "s3://bucket/x y"),
        (f"s3://KEY:p@{SECRET}@bucket/x", "s3://bucket/x"),
        (f"s3:/KEY:{SECRET}@bucket/x", "s3:/bucket/x"),
        (f"'s3://KEY:{SECRET}' is no URL", "'s3://' is no URL"),
        (f"simplecache::https://u:{SECRET}@h/x", "simplecache::https://h/x"),
        (f"gs://b/x?access_key=A&secret_key={SECRET}: no", "gs://b/x: no"),
        (f"s3://b?endpoint_override=http://u:{SECRET}@h.", "s3://b."),
        (f"{{'secret': '{SECRET}', 'n': 1}}", "{'secret': …, 'n': 1}"),
        (f"AWS_SECRET_ACCESS_KEY={SECRET} is set", "AWS_SECRET_ACCESS_KEY=… is set"),
        (f"https://{SECRET}@h/x", "https://h/x"),
    ],
)
def test_a_secret_is_left_out_of_text(text: str, bare: str) -> None:
    assert redacted(text) == bare
    assert redacted(bare) == bare
    error = MmembedError(text)
    assert SECRET not in f"{error}{error!r}{error.args}"
    media = MediaError(text, "decode", text)
    assert SECRET not in f"{media}{media!r}{media.path}{media.message}"


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a@b.png: no such file",
        "http://host:8000/a@b, c@d",
        "http://[::1]:80/a@b",
        "s3://bucket: no such folder a@b",
        "C:/Users/a@b",
        "Is it s3://bucket? Name it.",
        "a token: expected b@c",
        "data.batch_size 1: needs at least 2",
        "image-audio/mAP=0.9 is missed",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


SOME = st.text(string.ascii_letters + string.digits + "/+=@:?#%&!$*_-.", max_size=20)


@given(st.text(string.ascii_letters, min_size=1, max_size=8), SOME, SOME)
def test_no_password_of_a_url_is_shown_however_it_is_written(
    user: str, before: str, after: str
) -> None:
    password = f"{before}{SECRET}{after}"
    assume(not re.match(r"\d{2,5}[/?#,;.]|[/?#]", password))  # then it is a port, or there is none
    url = f"s3://{user}:{password}@bucket/photos/a.png"
    for text in (shown(url), redacted(f"'{url}': can't be read"), str(MmembedError(url))):
        assert SECRET not in text
        assert "a.png" in text
    assert SECRET not in shown(f"s3://bucket/photos?secret_key={password}")


def test_redaction_of_long_text_is_quick() -> None:
    for text in ("a." * 10_000, "secre" * 4_000, "s3://" * 4_000, "a:" * 10_000, "x-" * 10_000):
        assert len(redacted(text)) <= len(text)


def test_a_terminal_without_the_characters_is_no_error() -> None:
    program = "import sys; from mmembed.cli.commands import main\n"
    program += "from mmembed.errors.plain_text import say\n"
    program += "main(['--version']); say('→ ü \\udce9'); print('×')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [rb"\u2192 \xfc \xe9", rb"\xd7"]
