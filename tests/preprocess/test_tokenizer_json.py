"""A stranger's tokenizer is held to parts that are known and to bounds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from mmembed.errors import ConfigError
from mmembed.preprocess.tokenizer_json import (
    LARGEST_VOCABULARY,
    LONGEST_TOKEN,
    check,
    parsed,
    tokens_of,
    without_surroundings,
)


def made(**parts: Any) -> dict[str, Any]:
    model = {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "a": 2}, "unk_token": "[UNK]"}
    return {"version": "1.0", "added_tokens": [], "model": model, **parts}


def replacing(content: str, count: int = 1) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": content}
    return {"type": "Sequence", "normalizers": [step] * count}


def charsmap(longest: int) -> dict[str, Any]:
    data = (4).to_bytes(4, "little") + b"trie" + b"b\0" + b"c" * longest + b"\0"
    text = base64.b64encode(data).decode()
    return {"type": "Precompiled", "precompiled_charsmap": text}


@pytest.mark.parametrize(
    "parts",
    [
        made(),
        made(normalizer=replacing("\u2581")),
        made(normalizer=replacing("ab", 6)),
        made(normalizer=charsmap(18)),
        made(pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}]}),
        made(model={"vocab": {"a": 0}, "merges": []}),  # BPE of old files
        made(model={"type": "Unigram", "vocab": [["a", 0.0], ["b", -1.5]]}),
        made(added_tokens=[{"id": 7, "content": "<s>"}], decoder=None, padding=None),
    ],
)
def test_known_parts_within_bounds_are_taken(parts: dict[str, Any]) -> None:
    check(parts)


def checked(parts: dict[str, Any]) -> dict[str, int]:
    check(parts)
    return tokens_of(parts)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (made(padding={"strategy": {"Fixed": 10**12}}), "padding must be null"),
        (made(truncation={"max_length": 1}), "truncation must be null"),
        (made(post_processor={"type": "TemplateProcessing"}), "post_processor must be null"),
        (made(decoder={"type": "Fuse"}), "decoder must be null"),
        (made(hook="x"), "'hook' is no part of a tokenizer"),
        (made(normalizer={"type": "Python"}), "normalizer 'Python' is not known, or one of too"),
        (made(normalizer={"type": ["NFC"]}), "is not known"),
        (made(normalizer="NFC"), "'NFC' is no part of a tokenizer"),
        (made(pre_tokenizer={"type": "NFC"}), "pre_tokenizer 'NFC' is not known"),
        (made(normalizer=replacing("x", 100)), "or one of too many"),
        (made(normalizer=replacing("x" * 65)), "makes texts more than 64 times longer"),
        (made(normalizer=replacing("ab", 7)), "makes texts more than 64 times longer"),
        (made(normalizer=replacing(7)), "Replace holds something else than texts"),
        (made(normalizer={"type": "Prepend", "prepend": "x" * 99}), "more than 64 times longer"),
        (made(normalizer=charsmap(65)), "Precompiled makes texts more than 64 times longer"),
        (
            made(normalizer={"type": "Precompiled", "precompiled_charsmap": "%"}),
            "precompiled_charsmap is no base64",
        ),
        (
            made(normalizer={"type": "Precompiled", "precompiled_charsmap": 3}),
            "precompiled_charsmap is no base64",
        ),
        (made(model={"type": "Own", "vocab": {"a": 0}}), "model 'Own' is none of BPE, Unigram"),
        (made(model={"vocab": {"a": 0}, "dropout": 0.1}), "dropout of the model must be null"),
        (
            made(model={"vocab": {"a": 0}, "max_input_chars_per_word": 10**9}),
            "max_input_chars_per_word must be at most 4096",
        ),
        (made(model={"type": "BPE"}), "has no vocabulary"),
        (made(model={"vocab": {}}), "has no vocabulary"),
        (made(model={"vocab": {"a": LARGEST_VOCABULARY}}), "id 1048576 is not in 0 to 1,048,575"),
        (made(model={"vocab": {"a": -1}}), "id -1 is not in 0"),
        (made(model={"vocab": {"a": True}}), "id True is not in 0"),
        (made(model={"vocab": {"a" * (LONGEST_TOKEN + 1): 0}}), "is no token of at most 1024"),
        (made(model={"vocab": [["a", 0], 7]}), "None is no token of at most 1024"),
        (made(added_tokens=[{"id": 10**9, "content": "b"}]), "id 1000000000 is not in"),
        (made(added_tokens=["b"]), "added token 'b' is none"),
        (made(added_tokens=[{"id": 1, "content": []}]), "is none"),
    ],
)
def test_all_else_is_refused_by_name(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        checked(parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is no tokenizer.json of the tokenizers library: it has no model"),
        ('{"model": []}', "it has no model"),
    ],
)
def test_what_is_no_tokenizer_is_said(text: str, says: str) -> None:
    for read in (parsed, without_surroundings):
        with pytest.raises(ConfigError, match=says):
            read(text)


def test_what_stands_around_a_text_is_left_out_and_the_rest_stays() -> None:
    parts = made(
        padding={"pad_id": 0},
        truncation={"max_length": 3},
        post_processor={"type": "TemplateProcessing"},
        decoder={"type": "Fuse"},
        added_tokens=[{"id": 2, "content": "a"}],
        normalizer={"type": "NFC"},
    )
    with pytest.raises(ConfigError, match="must be null"):
        check(parts)
    kept = parsed(without_surroundings(json.dumps(parts)))
    check(kept)
    assert {name for name in parts if kept[name] != parts[name]} == {
        "padding",
        "truncation",
        "post_processor",
        "decoder",
    }
    assert parsed(without_surroundings(json.dumps(parts), drop_added=True))["added_tokens"] == []


def test_numbers_of_tokens_are_those_of_the_model_and_of_added_ones() -> None:
    pieces = {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.0]]}
    parts = made(model=pieces, added_tokens=[{"id": 5, "content": "<s>"}])
    assert tokens_of(parts) == {"<unk>": 0, "a": 1, "<s>": 5}
    assert tokens_of(made()) == {"[PAD]": 0, "[UNK]": 1, "a": 2}
