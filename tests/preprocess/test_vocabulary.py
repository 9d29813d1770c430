"""A vocabulary is the same wherever it was learnt, travels light, and refuses a stranger's."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ConfigError
from mmembed.preprocess import vocabulary as module
from mmembed.preprocess.asset import Asset
from mmembed.preprocess.vocabulary import Vocabulary

ANY_CHARACTER = st.characters(exclude_categories=())  # lone surrogates too
IDS = st.lists(st.text(ANY_CHARACTER, min_size=1, max_size=8), min_size=1, max_size=30)


@settings(deadline=None)
@given(IDS)
def test_a_vocabulary_comes_back_as_it_was_written(ids: list[str]) -> None:
    vocabulary = Vocabulary.of(ids)
    again = Vocabulary.from_bytes(vocabulary.to_bytes())
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert again.places == {each: place for place, each in enumerate(sorted(set(ids)))}
    assert len(again) == len(set(ids))


@settings(deadline=None)
@given(IDS, st.randoms())
def test_order_and_number_of_ids_make_no_difference(ids: list[str], random: object) -> None:
    shuffled = ids * 2
    random.shuffle(shuffled)
    assert Vocabulary.of(shuffled).digest == Vocabulary.of(ids).digest


def test_it_is_an_asset_of_json_that_anybody_can_read() -> None:
    vocabulary = Vocabulary.of(["b", "ä", "a"])
    assert isinstance(vocabulary, Asset)
    assert json.loads(vocabulary.to_bytes().decode("utf-8")) == ["a", "b", "ä"]
    assert vocabulary.digest == hashlib.sha256(b'["a", "b", "\xc3\xa4"]').hexdigest()
    assert vocabulary.file_name == f"asset-{vocabulary.digest[:16]}.json"


def test_every_process_makes_the_same_one() -> None:
    program = (
        "from mmembed.preprocess.vocabulary import Vocabulary\n"
        "print(Vocabulary.of({f'id {i % 500}' for i in range(2000)}).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {Vocabulary.of(f"id {i}" for i in range(500)).digest}


def test_it_travels_as_its_text_and_without_its_dictionary() -> None:
    vocabulary = Vocabulary.of(f"user {i}" for i in range(20_000))
    assert vocabulary.places["user 1"] == 1
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        sent = pickle.dumps(vocabulary, protocol)
        assert len(sent) < len(vocabulary.to_bytes()) + 200
        again = pickle.loads(sent)
        assert "places" not in vars(again)
        assert again == vocabulary
        assert again.places == vocabulary.places
    assert copy.deepcopy(vocabulary) == vocabulary


def test_a_process_makes_its_dictionary_once() -> None:
    vocabulary = pickle.loads(pickle.dumps(Vocabulary.of(["a", "b"])))
    assert vocabulary.places is vocabulary.places
    assert len(repr(Vocabulary.of(map(str, range(9999))))) < 100, "an error may hold it"


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Vocabulary.of(["a"]).data = b""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "must be a JSON list of ids, each a text"),
        (b"{", "must be a JSON list of ids"),
        (b"null", "must be a JSON list of ids"),
        (b'{"a": 1}', "must be a JSON list of ids"),
        (b'"abc"', "must be a JSON list of ids"),
        (b'["a", 1]', "must be a JSON list of ids"),
        (b'["a", ["b"]]', "must be a JSON list of ids"),
        (b"\xff\xfe\xfa", "must be a JSON list of ids"),
        (b"\x80abc", "must be a JSON list of ids"),
        (b"[" * 200_000, "must be a JSON list of ids"),
        (b"[" + b"9" * 6000 + b"]", "must be a JSON list of ids"),
        (b"[]", "must have 1 to 16,000,000 ids, not 0; buckets take more"),
        (b'["", "a"]', "must ascend, none of them empty or there twice"),
        (b'["a", "a"]', "must ascend, none of them empty or there twice"),
        (b'["b", "a"]', "must ascend"),
    ],
)
def test_a_strangers_bytes_are_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Vocabulary.from_bytes(data)
    assert "\n" not in str(caught.value)


def test_a_table_for_more_ids_than_there_is_room_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_IDS", 3)
    assert len(Vocabulary.of("abc")) == 3
    with pytest.raises(ConfigError, match="must have 1 to 3 ids, not 4"):
        Vocabulary.of("abcd")
    with pytest.raises(ConfigError, match="not 0"):
        Vocabulary.of([])
