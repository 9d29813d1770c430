"""A tokenizer learns from few texts, numbers every text alike, and tells where tokens stand."""

from __future__ import annotations

import copy
import json
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ConfigError
from mmembed.preprocess import tokenizer as tokenizer_module
from mmembed.preprocess.tokenizer import Tokenizer

PHRASES = [
    "the number three",
    "a picture of a seven",
    "eine Drei, gesprochen",
    "die Zahl Sieben",
    "trois points",
    "le chiffre sept",
    "число три",
    "数字三の写真",
    "ตัวเลขสาม",
    "رقم ثلاثة",
]
MODELS = ["unigram", "bpe", "word"]
CHARACTERS = st.sampled_from("abc drei.,!? ﬁ①Åé数字三ตัวสامثчислоΩ🙂\n\t\u3000\u200d\x00\x1c[PAD]▁")
TEXTS = st.text(CHARACTERS, max_size=40)


@pytest.fixture(scope="module", params=MODELS)
def trained(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(PHRASES, request.param, 200)


def other(tmp_path: Path, **parts: Any) -> Path:
    """A tokenizer.json as other people have it, with padding, cutting and tokens around."""
    vocab = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "hello": 3, "wor": 4, "##ld": 5}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A $B [SEP]", [("[CLS]", 1), ("[SEP]", 2)]
    )
    made.enable_padding(length=12)
    made.enable_truncation(3)
    content = json.loads(made.to_str()) | parts
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    return tmp_path / "tokenizer.json"


def test_ten_short_phrases_are_enough(trained: Tokenizer) -> None:
    assert trained.numbers["[PAD]"] == 0
    assert trained.numbers["[UNK]"] == 1
    assert 20 < trained.size <= 200
    for phrase in PHRASES:
        numbers, _ = trained.encode(phrase)
        assert numbers.dtype == np.int64
        assert len(numbers) >= 1
        assert not (numbers == 1).any(), phrase
        assert numbers.max() < trained.size


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.sampled_from(MODELS))
def test_every_character_has_a_token_where_it_stands(text: str, model: str) -> None:
    numbers, offsets = small(model).encode(text)
    assert offsets.shape == (len(numbers), 2)
    assert (numbers > 0).all()
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    covered = {i for start, end in offsets for i in range(start, end)}
    assert covered <= set(range(len(text)))
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered


_SMALL: dict[str, Tokenizer] = {}


def small(model: str) -> Tokenizer:
    if model not in _SMALL:
        _SMALL[model] = Tokenizer.train(PHRASES, model, 200)
    return _SMALL[model]


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.sampled_from(MODELS))
def test_words_have_the_tokens_that_they_have_alone(text: str, model: str) -> None:
    tokenizer = small(model)
    alone = [n for word in text.split(" ") for n in tokenizer.encode(word)[0].tolist()]
    assert tokenizer.encode(text)[0].tolist() == alone


def test_offsets_point_into_the_original_text() -> None:
    tokenizer = Tokenizer.train(["file one", "file two", "size 1"] * 3, "word", 50)
    numbers, offsets = tokenizer.encode("ﬁle  ①\nsize")  # NFKC: "file" and "1"
    names = {number: token for token, number in tokenizer.numbers.items()}
    assert [names[n] for n in numbers.tolist()] == ["file", "1", "size"]
    assert offsets.tolist() == [[0, 3], [5, 6], [7, 11]]


def test_texts_are_normalised_and_lower_case_is_an_option(trained: Tokenizer) -> None:
    composed, taken_apart = (unicodedata.normalize(f, "Drei é") for f in ("NFC", "NFD"))
    assert composed != taken_apart
    assert trained.encode(composed)[0].tolist() == trained.encode(taken_apart)[0].tolist()
    plain, lower = (Tokenizer.train(["Drei drei DREI"] * 3, "word", 50, low) for low in (0, 1))
    assert len({tuple(plain.encode(w)[0]) for w in ("Drei", "drei", "DREI")}) == 3
    assert len({tuple(lower.encode(w)[0]) for w in ("Drei", "drei", "DREI")}) == 1


def test_unknown_characters_are_one_number_and_words_of_a_table_too() -> None:
    for model in MODELS:
        tokenizer = Tokenizer.train(["ab ba", "aab"], model, 20)
        assert 1 in tokenizer.encode("ж")[0]
        assert 1 in tokenizer.encode("\ud800")[0], "half of a surrogate pair"
    assert Tokenizer.train(["ab ba", "aab"], "word", 20).encode("bab")[0].tolist() == [1]


def test_literal_names_of_special_tokens_are_words_like_any(trained: Tokenizer) -> None:
    numbers, _ = trained.encode("a [PAD] b")
    assert 0 not in numbers
    assert len(numbers) > 4


def test_a_tokenizer_is_a_value_that_travels(trained: Tokenizer) -> None:
    trained.encode("a")  # the library's own object is made, and stays here
    for again in (
        pickle.loads(pickle.dumps(trained)),
        copy.deepcopy(trained),
        Tokenizer.from_bytes(trained.to_bytes()),
    ):
        assert (again, hash(again), again.digest) == (trained, hash(trained), trained.digest)
        assert again.encode(PHRASES[1])[0].tolist() == trained.encode(PHRASES[1])[0].tolist()
    assert len(pickle.dumps(trained)) < 2 * len(trained.text.encode()) + 200


def test_values_are_not_shared_by_mistake(trained: Tokenizer) -> None:
    numbers, offsets = trained.encode("a picture")
    for array in (numbers, offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_words_are_tokens_that_begin_one() -> None:
    assert {"number", "three"} <= set(Tokenizer.train(PHRASES, "word", 200).words())
    tokenizer = Tokenizer.train(PHRASES * 20, "bpe", 300)
    words = tokenizer.words()
    assert tokenizer.encode("number")[0].tolist() == [words["number"]]
    assert not {"[PAD]", "[UNK]", ""} & set(words)


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
    monkeypatch.setattr(tokenizer_module, "LARGEST_FILE_BYTES", 10 << 20)
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
