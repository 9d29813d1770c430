"""Values of ``space.json`` are believed only where they have the right type and range."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mmembed.errors import SpaceError
from mmembed.space.loading import load_space
from mmembed.space.space_json import read_card
from tests.space_files import GONE, change, copied, write_signed


@pytest.mark.parametrize(
    "broken", [[], "space", 7, None, True, {}, {"format": "1"}, {"format": [1]}]
)
def test_a_card_that_is_none_is_refused(eyes: Path, tmp_path: Path, broken: object) -> None:
    folder = copied(eyes, tmp_path / "space")
    write_signed(folder, broken)
    with pytest.raises(SpaceError, match=r"space\.json: format .* is not the format 1"):
        load_space(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"format": ' + b"1" * 5000 + b"}",
        b" " * (17 << 20),
    ],
    ids=["empty", "half", "no text", "deep", "long number", "large"],
)
def test_a_card_that_is_no_json_is_refused(eyes: Path, tmp_path: Path, content: bytes) -> None:
    folder = copied(eyes, tmp_path / "space")
    (folder / "space.json").write_bytes(content)
    with pytest.raises(SpaceError, match=r"space\.json: (can't be read: .|format 1+)") as caught:
        read_card(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["name", "licence", "fingerprint", "dim", "hidden", "dropout", "encoders", "modalities"]
)
def test_a_card_without_a_key_is_refused(eyes: Path, tmp_path: Path, key: str) -> None:
    folder = copied(eyes, tmp_path / "space")
    change(folder, [key], GONE)
    with pytest.raises(SpaceError, match=rf"space\.json: has no '{key}'"):
        read_card(folder)


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["name"], [None, 3, ["x"], {}]),
        (["licence"], [3, False]),
        (["fingerprint"], [3, "", "x" * 32, "a" * 31, ["a" * 32]]),
        (["dim"], ["16", -1, 0, True, 16.0, math.nan, [], 10**400]),
        (["hidden"], ["8", -8, 1.5, True, {"image": -1}, {"image": "8"}, [None]]),
        (["dropout"], ["x", 2.0, -0.1, True, math.nan]),
        (["encoders"], [[], {}, "image", 5, {"a.b": {}}, {"": {}}, {"a" * 65: {}}]),
        (["modalities"], ["image", 3, [3], None]),
    ],
)
def test_a_wrong_value_in_the_card_is_named(
    eyes: Path, tmp_path: Path, keys: list, values: list
) -> None:
    for number, value in enumerate(values):
        folder = copied(eyes, tmp_path / str(number))
        change(folder, keys, value)
        with pytest.raises(SpaceError, match=rf"space\.json: {keys[0]} must be .*, not ") as caught:
            read_card(folder)
        assert "\n" not in str(caught.value)


def test_modalities_must_be_those_of_the_encoders(eyes: Path, tmp_path: Path) -> None:
    folder = copied(eyes, tmp_path / "space")
    change(folder, ["modalities"], ["image", "audio"])
    with pytest.raises(SpaceError, match="modalities and encoders differ"):
        read_card(folder)
