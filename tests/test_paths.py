"""Paths and URLs as text: what they name, and never what opens them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mmembed.errors import ConfigError, MmembedError, UnreachableError
from mmembed.paths import RemotePath, is_url, place, shown

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (f"s3://KEY:{SECRET}@bucket/a b/c.png?endpoint_override=h&secret_key={SECRET}", None),
        (f"s3://KEY:x y{SECRET}@bucket/c.png", "s3://bucket/c.png"),
        (Path(f"s3://KEY:{SECRET}@bucket/c"), "s3:/bucket/c"),
        (RemotePath(f"s3://KEY:{SECRET}@bucket?token={SECRET}", "a b?c"), "s3://bucket/a b?c"),
        (RemotePath("simplecache://", f":s3://KEY:{SECRET}@bucket/x"), None),
        ("/data/a@b/c?d=e", "/data/a@b/c?d=e"),
        (Path("/data/token=1/x\x1b[2J\ny"), r"/data/token=1/x\x1b[2J\ny"),
    ],
)
def test_a_path_is_shown_without_what_opens_it(
    given: str | Path | RemotePath, text: str | None
) -> None:
    written = shown(given)
    assert SECRET not in written
    assert SECRET not in f"{given if isinstance(given, RemotePath) else ''}"
    assert SECRET not in repr(given if isinstance(given, RemotePath) else "")
    assert text is None or written == text


def test_a_url_is_one_even_where_it_was_taken_for_a_path() -> None:
    assert is_url(Path("s3://bucket/x"))
    assert is_url("memory://x")
    assert not any(map(is_url, ("/a://b", "a/b:/c", "C:/x", "x:y", "")))


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"nosuch://u:{SECRET}@h/x", "nosuch://h: Protocol not known"),
        (f"s3://KEY:a/{SECRET}@bucket/x", "Cannot parse URI"),
        (f"s3://KEY:{SECRET}@bucket/x?secret_kye={SECRET}", "s3://bucket: Unexpected query"),
    ],
)
def test_a_url_that_no_file_system_takes_is_named_without_its_secret(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as raised:
        place(url)
    assert SECRET not in f"{raised.value}{raised.value!r}"


def test_a_server_that_does_not_answer_is_one_line_without_the_secret() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    there = place(f"s3://KEY:{SECRET}@bucket/x?{options}")
    assert isinstance(there, RemotePath)
    with pytest.raises(UnreachableError, match=r"s3://bucket/x: can't be reached: ") as raised:
        there.is_dir()
    assert isinstance(raised.value, MmembedError)
    assert isinstance(raised.value, OSError)
    assert SECRET not in f"{raised.value}{raised.value!r}"


def test_a_file_that_is_not_there_is_no_unreachable_one() -> None:
    with pytest.raises(FileNotFoundError):
        place("memory://bucket/nothing").read_bytes()
    assert not place("memory://bucket/nothing").exists()
