"""An asset is named for its content."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass

import pytest

from mmembed.preprocess.asset import Asset, asset_file_name


@dataclass(frozen=True)
class Note(Asset):
    text: str

    def to_bytes(self) -> bytes:
        return self.text.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Note:
        return cls(data.decode())


def test_digest_and_file_are_those_of_the_content() -> None:
    note = Note("a note")
    assert note.digest == hashlib.sha256(b"a note").hexdigest()
    assert note.file_name == f"asset-{note.digest[:16]}.json"
    assert note.file_name == asset_file_name(note.digest, "json")
    assert Note("another").file_name != note.file_name


def test_equal_content_is_one_asset() -> None:
    note = Note("a note")
    again = Note.from_bytes(note.to_bytes())
    assert (again, hash(again), again.digest) == (note, hash(note), note.digest)
    assert pickle.loads(pickle.dumps(note)) == note


def test_an_asset_says_how_it_is_written_and_read() -> None:
    class Half(Asset):
        pass

    with pytest.raises(TypeError, match="from_bytes"):
        Half()
