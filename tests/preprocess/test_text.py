"""A text is embedded whole, in segments of whole words that the model has room for."""

from __future__ import annotations

import itertools
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ConfigError, MediaError
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo
from mmembed.media.spans import TextSpan
from mmembed.preprocess.text import TextPreprocess
from mmembed.preprocess.tokenizer import Tokenizer
from tests.preprocess.test_tokenizer import MODELS, PHRASES, other

PROMPTS = {"query": "query: ", "document": "text of a document, in any language: "}
FITTED = {
    model: TextPreprocess(vocabulary=200, model=model, prompts=PROMPTS).fitted(PHRASES)
    for model in MODELS
}
WORDS = st.sampled_from(
    [
        *" ".join(PHRASES).split(),
        "Donaudampfschiff",
        "数字三の写真です",
        "ตัวเลขสามสี่ห้า",
        "x",
        "🙂🙂",
        "ﬁ①",
    ]
)
GAPS = st.sampled_from([" ", "\n\n", "\u3000", " \t "])


@st.composite
def texts(draw: st.DrawFn) -> str:
    return "".join(word + draw(GAPS) for word in draw(st.lists(WORDS, max_size=25)))


def cell(text: str, name: str = "texts.csv#id:7#0") -> MediaFile:
    return MediaFile.of_cell(name, "text", text)


def info(text: str) -> MediaInfo:
    return MediaInfo("text", "cell", text=text)


def pieces(preprocess: TextPreprocess, text: str) -> list[tuple[str, np.ndarray]]:
    """The words and values of each segment, as embedding makes them."""
    loaded = [preprocess.load(cell(text), span) for span in preprocess.spans(info(text))]
    return [(preprocess.words(media), preprocess(media)) for media in loaded]


def test_a_short_text_is_one_whole() -> None:
    preprocess = FITTED["unigram"]
    text = "  the number three\n"
    assert preprocess.spans(info(text)) == [None]
    media = preprocess.load(cell(text))
    assert preprocess.words(media) == text
    values = preprocess(media)
    assert values.dtype == np.int64
    assert values.tolist() == preprocess.tokenizer.encode(text)[0].tolist()
    values[0] = 0  # nobody else's


@settings(deadline=None, max_examples=250)
@given(texts(), st.sampled_from(MODELS), st.integers(8, 40), st.data())
def test_all_of_a_text_is_embedded_in_segments_that_have_room(
    text: str, model: str, most: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, most - 1))
    prompt = data.draw(st.sampled_from(["", "query"])) if most > 20 else ""
    preprocess = replace(FITTED[model], max_tokens=most, overlap_tokens=overlap, prompt=prompt)
    spans = preprocess.spans(info(text))
    if spans == [None]:
        assert len(preprocess._numbers(text)) <= most
        return
    assert [span.index for span in spans] == list(range(len(spans)))
    covered = {i for span in spans for i in range(span.start_char, span.end_char)}
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered
    tokenizer = preprocess.tokenizer
    for span in spans:
        media = preprocess.load(cell(text), span)
        assert media.text == text[span.start_char : span.end_char]
        assert 0 < len(tokenizer.encode(media.text)[0]) <= len(preprocess(media)) <= most
    for before, after in itertools.pairwise(spans):
        assert before.start_char < after.start_char
        assert before.end_char < after.end_char
        shared = text[after.start_char : before.end_char]
        assert len(tokenizer.encode(shared)[0]) <= overlap + 1


def test_a_long_text_is_embedded_whole() -> None:
    preprocess = replace(FITTED["bpe"], max_tokens=16)
    text = "\n".join(PHRASES[:3] * 40)
    cut = pieces(preprocess, text)
    assert len(cut) > 10
    assert " ".join(words for words, _ in cut).split() == text.split()
    assert max(len(values) for _, values in cut) <= 16
    assert sum(len(values) for _, values in cut) == len(preprocess.tokenizer.encode(text)[0])


def test_segments_share_whole_words_if_asked_to() -> None:
    text = " ".join(f"three seven {i % 10}" for i in range(60))
    preprocess = TextPreprocess(model="word", max_tokens=12, overlap_tokens=4).fitted([text])
    cut = [words.split() for words, _ in pieces(preprocess, text)]
    assert all(before[-4:] == after[:4] for before, after in itertools.pairwise(cut))
    assert cut[0] + [word for part in cut[1:] for word in part[4:]] == text.split()


def test_a_word_without_spaces_is_cut_between_tokens() -> None:
    preprocess = replace(FITTED["unigram"], max_tokens=8)
    text = "数字三の写真" * 20
    cut = [words for words, _ in pieces(preprocess, text)]
    assert "".join(cut) == text
    assert len(cut) > 5


def test_prompt_stands_before_every_segment_and_in_no_row() -> None:
    text = " ".join(PHRASES * 5)
    plain = replace(FITTED["unigram"], max_tokens=48)
    asked = replace(plain, prompt="query")
    numbers = plain.tokenizer.encode("query: ")[0].tolist()
    cut = pieces(asked, text)
    assert len(cut) >= len(pieces(plain, text))
    for words, values in cut:
        assert values[: len(numbers)].tolist() == numbers
        assert len(values) <= 48
        assert not words.startswith("query")
    assert 1 not in numbers, "its characters are learnt too"


def test_prompts_are_a_mapping_or_pairs_and_one_value() -> None:
    pairs = [list(pair) for pair in PROMPTS.items()]  # as JSON has them
    assert TextPreprocess(prompts=PROMPTS) == TextPreprocess(prompts=pairs)
    assert hash(TextPreprocess(prompts=PROMPTS)) == hash(TextPreprocess(prompts=pairs))
    assert TextPreprocess(prompts=PROMPTS).prompts == tuple(PROMPTS.items())


@pytest.mark.parametrize("text", ["", "   ", "\n\u3000"])
def test_an_empty_text_is_an_error_that_says_so(text: str) -> None:
    preprocess = FITTED["word"]
    assert preprocess.spans(info(text)) == [None]
    with pytest.raises(MediaError, match=r"texts.csv#id:7#0: is an empty text. Leave it out"):
        preprocess.load(cell(text))


def test_a_text_without_a_token_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A byte-pair tokenizer of others may know no characters but its own, and drop the rest."""
    bpe = {"type": "BPE", "vocab": {"a": 0, "b": 1, ":": 2}, "merges": []}
    path = other(tmp_path, model=bpe, added_tokens=[], pre_tokenizer=None)
    for prompt in ("", "ask"):
        preprocess = TextPreprocess(path, prompts={"ask": "ab:"}, prompt=prompt)
        assert len(preprocess(preprocess.load(cell("a?b")))) == 2 + 3 * bool(prompt)
        with pytest.raises(MediaError, match="has no token that the tokenizer knows. Leave it"):
            preprocess.load(cell("???"))


def test_what_can_not_be_cut_is_an_error_that_says_so() -> None:
    preprocess = replace(FITTED["unigram"], max_tokens=4, prompt="document")
    spans = preprocess.spans(info("the number three"))
    with pytest.raises(MediaError, match=r"tokens that can't be cut.*max_tokens is 4. Raise it"):
        preprocess.load(cell("the number three"), spans[0])


def test_a_tokenizer_that_gives_up_is_an_error_of_the_item(tmp_path: Path) -> None:
    lacking = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}
    preprocess = TextPreprocess(other(tmp_path, model=lacking, added_tokens=[]))
    with pytest.raises(MediaError, match=r"#0: the tokenizer can't take .*decoder: tokenizers"):
        preprocess.load(cell("b"))


def test_a_file_of_text_is_read_as_a_cell_is(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + PHRASES[5].encode())
    preprocess = FITTED["unigram"]
    from_file, from_cell = preprocess.load(path), preprocess.load(cell(PHRASES[5]))
    assert from_file.text == from_cell.text
    assert np.array_equal(preprocess(from_file), preprocess(from_cell))
    assert preprocess.load(path, TextSpan(0, 3, 10)).text == PHRASES[5][3:10]


def test_fitted_learns_once_and_keeps_what_it_has() -> None:
    first = TextPreprocess(vocabulary=100, lowercase=True)
    assert not first.is_fitted
    learnt = first.fitted(iter(PHRASES))
    assert learnt.is_fitted
    assert learnt == first.fitted(PHRASES) == replace(learnt)
    assert learnt.fitted(["something else"]) is learnt
    assert replace(learnt, tokenizer=None) == first
    size = learnt.tokenizer.size
    assert (first.learnt(), learnt.learnt()) == ("", f"tokenizer of {size} tokens")
    again = pickle.loads(pickle.dumps(learnt))
    assert (again, again.is_fitted, hash(again)) == (learnt, True, hash(learnt))


def test_without_a_tokenizer_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="has no tokenizer yet. Train the space, or give"):
        TextPreprocess().spans(info("a"))
    with pytest.raises(ConfigError, match="no text to learn a tokenizer from"):
        TextPreprocess().fitted([])


def test_a_tokenizer_is_given_as_a_file_too(tmp_path: Path) -> None:
    path = other(tmp_path)
    preprocess = TextPreprocess(path)
    assert preprocess.tokenizer == Tokenizer.read(path)
    assert preprocess == TextPreprocess(str(path))
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}/gone.json: No such file")):
        TextPreprocess(tmp_path / "gone.json")


@given(st.integers(0, 300), st.integers(4, 300), st.integers(1, 40))
def test_padding_goes_up_to_whole_buckets_and_never_beyond_the_most(
    length: int, most: int, bucket: int
) -> None:
    length = min(length, most)
    padded = TextPreprocess(max_tokens=most, bucket_tokens=bucket).padded_length(length)
    assert max(length, 1) <= padded <= most
    assert padded % bucket == 0 or padded == most
    assert padded - length <= bucket


def test_length_grows_with_the_text_up_to_the_most() -> None:
    preprocess = FITTED["bpe"]
    lengths = [preprocess.length(info("word " * n), None) for n in range(0, 200, 10)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (1, preprocess.max_tokens)
    text = info("word " * 200)
    assert preprocess.length(text, TextSpan(3, 100, 140)) == 11


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"vocabulary": 7}, "vocabulary 7 must be from 8 to 1,048,576"),
        ({"vocabulary": 2 << 20}, "vocabulary 2097152 must be from 8"),
        ({"max_tokens": 3}, "max_tokens 3 must be from 4 to 8,192"),
        ({"max_tokens": 8193}, "max_tokens 8193 must be"),
        ({"max_tokens": 8, "overlap_tokens": 8}, "overlap_tokens 8 must be from 0 to 7"),
        ({"overlap_tokens": -1}, "overlap_tokens -1 must be"),
        ({"bucket_tokens": 0}, "bucket_tokens 0 must be from 1"),
        ({"prompts": {"a b": "x"}}, "prompt 'a b' needs a name of letters, digits"),
        ({"prompts": {"a": "x" * 1001}}, "a text of at most 1000 characters"),
        ({"prompts": {"a": 7}}, "prompt 'a' needs a name"),
        ({"prompts": [["a", "x"], ["a", "y"]]}, "prompts must be at most 64, once each"),
        ({"prompts": {f"p{i}": "" for i in range(65)}}, "prompts must be at most 64"),
        ({"prompt": "query"}, "there is no prompt 'query'; there are none"),
        ({"prompts": PROMPTS, "prompt": "q"}, "no prompt 'q'; there are query, document"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"TextPreprocess: .*{says}"):
        TextPreprocess(**wrong)
