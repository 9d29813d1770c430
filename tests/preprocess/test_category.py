"""Ids, tags and weights become rows and weights; every id that can't is named."""

from __future__ import annotations

import io
import json
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.errors import ConfigError, MediaError
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo
from mmembed.preprocess.category import MOST_BUCKETS, CategoryPreprocess
from mmembed.preprocess.vocabulary import Vocabulary
from mmembed.store.cells import contents, items_of

NAME = "songs.parquet#id:17#0"
COLOURS = CategoryPreprocess(Vocabulary.of(["blue", "green", "red"]))
TAGS = st.text(min_size=1, max_size=5)
WEIGHTS = st.floats(-1e9, 1e9).filter(lambda weight: abs(weight) > 1e-9)


def cell(item: object) -> MediaFile:
    """The cell of a manifest that holds an item."""
    return MediaFile.of_cell(NAME, "category", json.dumps(item))


def values(preprocess: CategoryPreprocess, item: object) -> list[list[float]]:
    return preprocess(preprocess.load(cell(item))).tolist()


def fitted(items: Sequence[object], **arguments: Any) -> CategoryPreprocess:
    return CategoryPreprocess(**arguments).fitted(json.dumps(item) for item in items)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("blue", [[2, 1]]),
        (["red", "blue"], [[4, 1], [2, 1]]),
        (["red", "red"], [[4, 1], [4, 1]]),
        ({"red": 0.5, "blue": -2}, [[4, 0.5], [2, -2]]),
        ({"red": 0, "blue": 1}, [[4, 0], [2, 1]]),
        ("pink", [[1, 1]]),
        ({"pink": 3, "green": 1}, [[1, 3], [3, 1]]),
        ("Red", [[1, 1]]),
        ("red ", [[1, 1]]),
    ],
)
def test_an_item_becomes_rows_and_weights(item: object, expected: list[list[float]]) -> None:
    assert values(COLOURS, item) == expected
    made = COLOURS(COLOURS.load(cell(item)))
    assert made.dtype == np.float64
    assert made.flags.c_contiguous


@settings(deadline=None)
@given(st.dictionaries(TAGS, WEIGHTS, min_size=1, max_size=20))
def test_every_tag_keeps_its_row_and_its_weight(tags: dict[str, float]) -> None:
    preprocess = CategoryPreprocess(Vocabulary.of(tags))
    rows = {tag: 2 + place for place, tag in enumerate(sorted(tags))}
    assert values(preprocess, tags) == [[rows[tag], weight] for tag, weight in tags.items()]
    assert values(preprocess, list(tags)) == [[rows[tag], 1] for tag in tags]
    assert preprocess.rows == 2 + len(tags)


@settings(deadline=None)
@given(st.lists(st.lists(TAGS, min_size=1, max_size=6), min_size=1, max_size=8))
def test_whatever_a_manifest_holds_can_be_read(lists: list[list[str]]) -> None:
    weights = [[(tag, 0.5) for tag in dict.fromkeys(tags)] for tags in lists]
    columns = [
        pa.array([tags[0] for tags in lists]),
        pa.array(lists, pa.list_(pa.string())),
        pa.array(weights, pa.map_(pa.string(), pa.float64())),
    ]
    for column in columns:
        cells = contents(pa.chunked_array([column]), "category", "column tags").to_pylist()
        items = [item for each in cells for item in items_of(each)]
        preprocess = CategoryPreprocess().fitted(items)
        assert set(preprocess.vocabulary.places) <= {tag for tags in lists for tag in tags}
        for item in items:
            media = preprocess.load(MediaFile.of_cell(NAME, "category", item))
            assert preprocess(media)[:, 0].min() >= 2, "no id of the training is unseen"


def test_whole_numbers_are_ids_as_in_a_manifest() -> None:
    preprocess = CategoryPreprocess(Vocabulary.of(["17"]))
    for item in (17, [17], "17", ["17"]):
        assert values(preprocess, item) == [[2, 1]]


def test_a_tag_that_an_object_names_twice_counts_twice() -> None:
    file = MediaFile.of_cell(NAME, "category", '{"red": 1, "red": 2}')
    assert COLOURS(COLOURS.load(file)).tolist() == [[4, 1], [4, 2]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no JSON of ids. Write an id as"),
        ("red", "is no JSON of ids"),
        ('["red"', "is no JSON of ids"),
        ("[" * 100_000, "is no JSON of ids"),
        ("9" * 6000, "is no JSON of ids"),
        ("null", "holds no ids. Leave its cell empty"),
        ("[]", "holds no ids"),
        ("{}", "holds no ids"),
        ('""', "has '' as a tag, not a text or a whole number"),
        ('["red", ""]', "has '' as a tag"),
        ("true", "has True as a tag"),
        ("1.5", "has 1.5 as a tag"),
        ("NaN", "has nan as a tag"),
        ('["red", null]', "has None as a tag"),
        ('["red", ["blue"]]', "has \\['blue'\\] as a tag"),
        ('["red", {"blue": 1}]', "as a tag, not a text"),
        ('{"": 1}', "has '' as a tag"),
        ('{"red": NaN}', "has nan as a weight, not a number up to 1e9"),
        ('{"red": Infinity}', "has inf as a weight"),
        ('{"red": -1e400}', "has -inf as a weight"),
        ('{"red": 1e10}', "has 10000000000.0 as a weight"),
        ('{"red": true}', "has True as a weight"),
        ('{"red": "1"}', "has '1' as a weight"),
        ('{"red": {"blue": 1}}', "as a weight, not a number"),
        ('{"red": 0, "blue": -0.0}', "has weights of 0 alone. Leave its cell empty"),
        (json.dumps(["red"] * 1025), "has 1,025 tags, more than most_tags 1,024. List fewer"),
    ],
)
def test_an_item_that_cannot_be_used_is_named_in_one_line(content: str, says: str) -> None:
    with pytest.raises(MediaError, match=says) as caught:
        COLOURS.load(MediaFile.of_cell(NAME, "category", content))
    assert str(caught.value).startswith(f"{NAME}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert COLOURS.length(MediaInfo("category", "cell", text=content), None) == 0


def test_a_file_that_holds_no_text_is_no_item() -> None:
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    with pytest.raises(MediaError, match="<bytes>: is no JSON of ids"):
        COLOURS.load(picture.getvalue())


def test_a_separator_cuts_an_id_into_tags_and_nothing_else() -> None:
    bars = replace(COLOURS, separator="|")
    assert values(bars, "red|blue") == [[4, 1], [2, 1]]
    assert values(bars, " red | blue |") == [[4, 1], [2, 1]]
    assert values(bars, ["red|blue"]) == [[1, 1]], "a list of tags is cut already"
    assert values(COLOURS, "red|blue") == [[1, 1]]
    with pytest.raises(MediaError, match="holds no ids"):
        bars.load(cell(" | "))
    assert fitted(["a b", "b c"], separator=" ").vocabulary == Vocabulary.of("abc")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("u17", "u17"),
        (["red", "round"], "red, round"),
        ({"red": 0.5}, "red 0.5"),
        ({"red": 0.5, "round": 1, "small": -2}, "red 0.5, round, small -2"),
        ({"red": 1e-7}, "red 1e-07"),
    ],
)
def test_words_are_the_ids_as_a_reader_writes_them(item: object, words: str) -> None:
    assert COLOURS.words(COLOURS.load(cell(item))) == words


@settings(deadline=None)
@given(st.integers(0, 1 << 16))
def test_items_are_padded_to_a_power_of_two(length: int) -> None:
    padded = COLOURS.padded_length(length)
    assert padded.bit_count() == 1
    assert length <= padded < max(2, 2 * length)


def test_bucket_and_length_are_of_the_tags() -> None:
    item = ["red"] * 5
    assert COLOURS.bucket(COLOURS(COLOURS.load(cell(item)))) == 8
    assert COLOURS.length(MediaInfo("category", "cell", text=json.dumps(item)), None) == 5
    assert COLOURS.length(MediaInfo("category", "cell", text='"red"'), None) == 1
    assert COLOURS.length(MediaInfo("image", "png"), None) == 0
    assert COLOURS.spans(MediaInfo("category", "cell", text='"red"')) == [None]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5), min_size=1))
def test_ids_of_fewer_items_count_as_unseen(items: list[list[str]]) -> None:
    counts = Counter(tag for tags in items for tag in set(tags))
    for least in (1, 2, 4):
        often = [tag for tag, count in counts.items() if count >= least]
        if often:
            assert fitted(items, least_count=least).vocabulary == Vocabulary.of(often)
        else:
            with pytest.raises(ConfigError, match=f"least_count {least}: no id is in so many"):
                fitted(items, least_count=least)


def test_what_was_learnt_is_said_in_one_line(capsys: pytest.CaptureFixture) -> None:
    fitted(["a", "b", ["a", "c"]])
    assert capsys.readouterr().err == "category: a vocabulary of 3 ids\n"
    fitted(["a", "b", ["a", "c"]], least_count=2)
    assert capsys.readouterr().err == (
        "category: a vocabulary of 1 ids; 2 more, in less than 2 items each, count as unseen\n"
    )


def test_a_vocabulary_that_is_there_is_kept(capsys: pytest.CaptureFixture) -> None:
    assert COLOURS.fitted(['"black"']) is COLOURS
    assert capsys.readouterr().err == ""


def test_broken_items_are_counted_and_left_out(capsys: pytest.CaptureFixture) -> None:
    made = CategoryPreprocess().fitted(['"a"', "{", '"b"', "[]"])
    assert made.vocabulary == Vocabulary.of("ab")
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("category: 2 items left out, the first: '{' is no JSON of ids.")
    assert len(said) == 2
    for items in ([], ["[]"]):
        for buckets in (0, 9):
            with pytest.raises(ConfigError, match="no training item holds an id"):
                CategoryPreprocess(buckets=buckets).fitted(items)


def test_nothing_is_made_before_the_vocabulary_is_learnt() -> None:
    empty = CategoryPreprocess()
    assert not empty.is_fitted
    assert COLOURS.is_fitted
    assert CategoryPreprocess(buckets=5).is_fitted
    assert empty.words(empty.load(cell("red"))) == "red"
    with pytest.raises(ConfigError, match="has no vocabulary yet. Train the space first"):
        empty(empty.load(cell("red")))
    assert empty.rows == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"least_count": 0}, "least_count 0 must be at least 1"),
        ({"buckets": -1}, "buckets -1 from 0 to 16,000,000"),
        ({"buckets": MOST_BUCKETS + 1}, "buckets 16000001 from 0 to"),
        ({"most_tags": 0}, "most_tags 0 must be from 1 to 65,536"),
        ({"most_tags": 65537}, "most_tags 65537 must be"),
        ({"buckets": 9, "least_count": 2}, "buckets have no vocabulary and no least_count"),
        ({"buckets": 9, "vocabulary": COLOURS.vocabulary}, "buckets have no vocabulary"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CategoryPreprocess(**arguments)


def test_it_can_be_compared_hashed_and_sent() -> None:
    again = pickle.loads(pickle.dumps(COLOURS))
    assert again == COLOURS
    assert hash(again) == hash(COLOURS)
    assert replace(COLOURS, vocabulary=Vocabulary.of(["blue"])) != COLOURS
    assert values(again, "red") == [[4, 1]]
