"""The JSON of a tokenizer, held to what can do no harm: it may come from a stranger.

It is the format of the ``tokenizers`` library (``tokenizer.json`` on the Hugging Face Hub). A
tokenizer here makes the tokens of a text and nothing else: no padding, no cutting off, no tokens
around the text. So what it makes is of about the size of the text, and always the same.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from mmembed.errors import ConfigError
from mmembed.errors.plain_text import brief, one_line

LARGEST_VOCABULARY = 1 << 20
LONGEST_TOKEN = 1024
LONGEST_WORD = 4096  # that WordPiece takes apart
MOST_GROWTH = 64  # characters that a normalizer may make of one
MOST_STEPS = 64
NORMALIZERS = (
    "BertNormalizer ByteLevel Lowercase NFC NFD NFKC NFKD Nmt Precompiled Prepend Replace "
    "Sequence Strip StripAccents"
)
PRE_TOKENIZERS = (
    "BertPreTokenizer ByteLevel CharDelimiterSplit Digits FixedLength Metaspace Punctuation "
    "Sequence Split UnicodeScripts Whitespace WhitespaceSplit"
)
STEPS = {
    "normalizer": frozenset(NORMALIZERS.split()),
    "pre_tokenizer": frozenset(PRE_TOKENIZERS.split()),
}
LEFT_OUT = ("truncation", "padding", "post_processor", "decoder")
KEYS = {"version", "added_tokens", "model", *STEPS, *LEFT_OUT}
MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")


def parsed(text: str) -> dict[str, Any]:
    """Return the parts of a tokenizer's JSON, by name.

    Raises:
        ConfigError: it is not the JSON of a tokenizer.
    """
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not JSON: {one_line(error)}") from None
    if not (isinstance(parts, dict) and isinstance(parts.get("model"), dict)):
        raise ConfigError("is no tokenizer.json of the tokenizers library: it has no model")
    return parts


def without_surroundings(text: str, drop_added: bool = False) -> str:
    """Return a tokenizer's JSON without padding, truncation, decoding and tokens around a text.

    Args:
        text: the JSON.
        drop_added: whether to leave out added tokens too, which are looked for in every text;
            the model's own vocabulary stays.

    Raises:
        ConfigError: it is not the JSON of a tokenizer.
    """
    parts = {**parsed(text), **dict.fromkeys(LEFT_OUT)}
    if drop_added:
        parts["added_tokens"] = []
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def check(parts: dict[str, Any]) -> None:
    """Check that a tokenizer is one that :func:`without_surroundings` gives, and harmless.

    Raises:
        ConfigError: a part that is not known, or one out of bounds.
    """
    for name in parts:
        if name not in KEYS:
            raise ConfigError(f"{brief(name)} is no part of a tokenizer")
    for name in LEFT_OUT:
        if parts.get(name) is not None:
            raise ConfigError(f"{name} must be null")
    _check_model(parts["model"])
    tokens_of(parts)
    for name, known in STEPS.items():
        growth = 1
        for number, part in enumerate(_inside(parts.get(name))):
            kind = part.get("type")
            if not isinstance(kind, str) or kind not in known or number >= MOST_STEPS:
                raise ConfigError(f"{name} {brief(kind)} is not known, or one of too many")
            growth *= max(1, _growth(part))
            if growth > MOST_GROWTH:
                raise ConfigError(f"{name} {kind} makes texts more than {MOST_GROWTH} times longer")


def tokens_of(parts: dict[str, Any]) -> dict[str, int]:
    """Return every token of a tokenizer with its id.

    Raises:
        ConfigError: no tokens, or a token or id out of bounds.
    """
    vocabulary = parts["model"].get("vocab")
    if isinstance(vocabulary, list):
        vocabulary = {_first(piece): number for number, piece in enumerate(vocabulary)}
    added = parts.get("added_tokens") or []
    if not (isinstance(vocabulary, dict) and vocabulary and isinstance(added, list)):
        raise ConfigError("has no vocabulary")
    tokens = dict(vocabulary)
    for each in added:
        if not (isinstance(each, dict) and isinstance(each.get("content"), str)):
            raise ConfigError(f"added token {brief(each)} is none")
        tokens[each["content"]] = each.get("id")
    for token, number in tokens.items():
        if not (isinstance(token, str) and len(token) <= LONGEST_TOKEN):
            raise ConfigError(f"{brief(token)} is no token of at most {LONGEST_TOKEN} characters")
        if not (type(number) is int and 0 <= number < LARGEST_VOCABULARY):
            raise ConfigError(f"id {brief(number)} is not in 0 to {LARGEST_VOCABULARY - 1:,}")
    return tokens


def _check_model(model: dict[str, Any]) -> None:
    if model.get("type", "BPE") not in MODELS:  # old files of BPE have no type
        raise ConfigError(f"model {brief(model.get('type'))} is none of {', '.join(MODELS)}")
    if model.get("dropout"):
        raise ConfigError("dropout of the model must be null: a text has the same tokens each time")
    longest = model.get("max_input_chars_per_word", 0)
    if not (type(longest) is int and 0 <= longest <= LONGEST_WORD):
        raise ConfigError(f"max_input_chars_per_word must be at most {LONGEST_WORD}")


def _inside(part: Any) -> Iterator[dict[str, Any]]:
    """Yield a normalizer or pre-tokenizer, and those that it is a sequence of."""
    left = [] if part is None else [part]
    while left:
        part = left.pop()
        if not isinstance(part, dict):
            raise ConfigError(f"{brief(part)} is no part of a tokenizer")
        yield part
        inner = [part.get("normalizers"), part.get("pretokenizers")]
        left += [each for several in inner if isinstance(several, list) for each in several]


def _growth(part: dict[str, Any]) -> int:
    """Return how many characters come of one, at most, where the part's settings say so."""
    if part["type"] == "Precompiled":
        return _longest_of_charsmap(part.get("precompiled_charsmap"))
    texts = [part.get("content", ""), part.get("prepend", ""), part.get("replacement", "")]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{part['type']} holds something else than texts")
    return max(map(len, texts))


def _longest_of_charsmap(charsmap: Any) -> int:
    """Return the longest text that a character is replaced by (SentencePiece's format).

    The size of a trie comes first, then the trie, then texts that end in a zero.
    """
    try:
        data = base64.b64decode(charsmap or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ConfigError("precompiled_charsmap is no base64") from None
    start = 4 + int.from_bytes(data[:4], "little")
    return max((len(t.decode("utf-8", "replace")) for t in data[start:].split(b"\0")), default=0)


def _first(piece: Any) -> Any:
    held = piece[0] if isinstance(piece, list) and piece else None
    return held if isinstance(held, str) else None
