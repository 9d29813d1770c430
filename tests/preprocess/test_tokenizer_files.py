"""Tokenizers of files and bytes: those of other people are read, and what is none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmembed.errors import ConfigError
from mmembed.preprocess import tokenizer as tokenizer_module
from mmembed.preprocess.tokenizer import Tokenizer
from tests.preprocess.test_tokenizer import MODELS, PHRASES, other


@pytest.fixture(scope="module", params=MODELS)
def trained(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(PHRASES, request.param, 200)


def test_file_of_another_is_read_without_what_surrounds_a_text(tmp_path: Path) -> None:
    tokenizer = Tokenizer.read(other(tmp_path))
    numbers, offsets = tokenizer.encode("hello world there hello hello")
    assert numbers.tolist() == [4, 5, 6, 1, 4, 4]  # each moved up by one: 0 is padding
    assert offsets[:3].tolist() == [[0, 5], [6, 9], [9, 11]]
    assert tokenizer.size == 7
    assert tokenizer.words() == {"[CLS]": 2, "[SEP]": 3, "hello": 4, "wor": 5}
    assert Tokenizer.from_bytes(tokenizer.to_bytes()) == tokenizer


def test_file_of_our_own_keeps_its_numbers(trained: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(trained.to_bytes())
    again = Tokenizer.read(tmp_path / "a.json")
    assert again.numbers == trained.numbers
    assert again.encode(PHRASES[0])[0].tolist() == trained.encode(PHRASES[0])[0].tolist()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00", "can't decode"),
        (b"{}", "is no tokenizer.json"),
        (b'{"model": {"type": "WordLevel", "vocab": {"a": 0}}}', "the tokenizer can't be used"),
    ],
)
def test_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        Tokenizer.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff", "is not UTF-8"),
        (b"nothing", "is not JSON"),
        (b'{"model": {"vocab": {"a": 0}}, "padding": {}}', "padding must be null"),
        (
            b'{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}',
            "can't be used",
        ),
    ],
)
def test_bytes_of_a_stranger_are_checked(data: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Tokenizer.from_bytes(data)


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "MOST_JSON_BYTES", 10 << 20)
    path = tmp_path / "large.json"
    path.write_bytes(b" " * ((10 << 20) + 1))
    with pytest.raises(ConfigError, match="is larger than 10 MiB"):
        Tokenizer.read(path)
    with pytest.raises(ConfigError, match="is larger than 10 MiB"):
        Tokenizer.from_bytes(path.read_bytes())


def test_a_pattern_without_end_and_a_missing_token_are_one_line(tmp_path: Path) -> None:
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    endless = Tokenizer.read(other(tmp_path, pre_tokenizer=split | {"invert": False}))
    lacking = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}
    unknown = Tokenizer.read(other(tmp_path, model=lacking, added_tokens=[]))
    for tokenizer, text in ((endless, "a" * 60 + "b"), (unknown, "b")):
        with pytest.raises(ConfigError, match="the tokenizer can't take this text") as caught:
            tokenizer.encode(text)
        assert "\n" not in str(caught.value)
