"""Assets in descriptions: by class and digest, and nothing else is taken for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from mmembed.encoders import TextEncoder, VideoEncoder
from mmembed.encoders.assets import ASSETS, asset_class, assets_of, describe_asset
from mmembed.encoders.description import build, describe, is_own
from mmembed.encoders.token_bodies import TokenBody
from mmembed.errors import SpaceError
from mmembed.preprocess.asset import Asset
from mmembed.preprocess.text import TextPreprocess
from mmembed.preprocess.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train(["the number three", "eine Drei"], "bpe", 60)
OTHER = Tokenizer.train(["trois points"], "bpe", 60)


@dataclass(frozen=True)
class Strange(Asset):
    def to_bytes(self) -> bytes:
        return b""

    @classmethod
    def from_bytes(cls, data: bytes) -> Strange:
        return cls()


def encoder() -> TextEncoder:
    return TextEncoder(TokenBody(width=8, layers=1), preprocess=TextPreprocess(TOKENIZER))


def described(asset: Any = "Tokenizer", sha256: Any = TOKENIZER.digest) -> dict[str, Any]:
    made = json.loads(json.dumps(describe(encoder())))
    made["init_args"]["preprocess"]["init_args"]["tokenizer"] = {"asset": asset, "sha256": sha256}
    return made


def test_a_description_has_the_digest_and_not_the_content() -> None:
    text = json.dumps(describe(encoder()))
    assert describe(TOKENIZER) == {"asset": "Tokenizer", "sha256": TOKENIZER.digest}
    assert json.dumps(describe(TOKENIZER)) in text
    assert len(text) < 2000
    assert is_own(json.loads(text))
    assert describe(encoder()) == described()


def test_the_reader_is_asked_for_class_and_digest() -> None:
    asked = []

    def reader(name: str, digest: str) -> Asset:
        asked.append((name, digest))
        return asset_class(name).from_bytes(TOKENIZER.to_bytes())

    again = build(described(), assets=reader)
    assert asked == [("Tokenizer", TOKENIZER.digest)]
    assert again.preprocess == encoder().preprocess
    assert describe(again) == described()


@pytest.mark.parametrize(
    ("description", "says"),
    [
        (described(asset="Pickle"), r"tokenizer.asset: 'Pickle' is none of Tokenizer, Vocabulary"),
        (described(asset=["Tokenizer"]), "tokenizer.asset: .* is none of"),
        (described(sha256="../../etc/passwd"), r"tokenizer.sha256: .* is no SHA-256"),
        (described(sha256=TOKENIZER.digest.upper()), "is no SHA-256"),
        (described(sha256=7), "tokenizer.sha256: 7 is no SHA-256"),
        (described(sha256=OTHER.digest), "Tokenizer is not the one of the description"),
    ],
)
def test_an_asset_that_is_not_the_one_is_refused(description: dict[str, Any], says: str) -> None:
    with pytest.raises(SpaceError, match=f"^description.preprocess.*{says}") as caught:
        build(description, assets=lambda name, digest: TOKENIZER)
    assert "\n" not in str(caught.value)


def test_what_a_reader_can_not_give_is_one_line() -> None:
    def reader(name: str, digest: str) -> Asset:
        raise FileNotFoundError("asset-12.json\nis gone")

    with pytest.raises(SpaceError, match=r"tokenizer: Tokenizer can't be read: asset-12.json is"):
        build(described(), assets=reader)
    with pytest.raises(SpaceError, match="its Tokenizer is not here; load the folder of the space"):
        build(described())
    with pytest.raises(SpaceError, match="Tokenizer is not the one"):
        build(described(), assets=lambda name, digest: Strange())


def test_an_argument_takes_its_own_class_of_asset_alone() -> None:
    made = described()
    made["init_args"]["embedding_dim"] = {"asset": "Tokenizer", "sha256": TOKENIZER.digest}
    with pytest.raises(SpaceError, match="embedding_dim: must be int"):
        build(made, assets=lambda name, digest: TOKENIZER)


def test_classes_have_names_that_stay() -> None:
    assert asset_class("Tokenizer") is Tokenizer
    assert list(ASSETS) == ["Tokenizer", "Vocabulary"]
    with pytest.raises(SpaceError, match="'Other' is no asset; there are Tokenizer"):
        asset_class("Other")
    with pytest.raises(SpaceError, match="Strange: assets of this class can't be saved"):
        describe_asset(Strange())


def test_assets_of_encoders_are_gathered_wherever_they_are() -> None:
    other = TextEncoder(TokenBody(width=8, layers=1), preprocess=TextPreprocess(OTHER))
    unfitted = TextEncoder(TokenBody(width=8, layers=1))
    several = {"text": encoder(), "title": [other, unfitted], "name": encoder()}
    assert assets_of(several) == {TOKENIZER.digest: TOKENIZER, OTHER.digest: OTHER}
    assert assets_of(unfitted) == {}
    unfitted.adopt(unfitted.preprocess.fitted(["trois points"]))
    assert [type(each) for each in assets_of(unfitted).values()] == [Tokenizer]
    assert VideoEncoder not in map(type, assets_of({"a": 1, "b": None, "c": "text"}))
