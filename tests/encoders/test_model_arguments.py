"""Arguments of timm models: those that shape it are kept, and none can do harm."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.encoders.model_arguments import (
    CHOICES,
    REFUSED,
    checked_model_arguments,
    lasting_model_arguments,
)
from mmembed.errors import SpaceError

NUMBERS = st.integers(-65536, 65536) | st.floats(-65536, 65536) | st.booleans() | st.none()
HARMLESS = NUMBERS | st.lists(NUMBERS, max_size=64) | st.lists(st.lists(NUMBERS), max_size=3)
NAMES = st.from_regex(r"[a-z][a-z_]{0,15}", fullmatch=True).filter(
    lambda name: (
        not name.startswith("pretrained") and name not in REFUSED | {"checkpoint_path", "cache_dir"}
    )
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, HARMLESS, max_size=5))
def test_numbers_and_lists_of_them_pass_as_they_are(given_arguments: dict) -> None:
    assert checked_model_arguments(given_arguments, "at") == given_arguments


@given(st.sampled_from(sorted(CHOICES)), st.from_regex(r"[A-Za-z0-9_]{0,40}", fullmatch=True))
def test_names_of_layers_pass_where_layers_are_named(name: str, value: str) -> None:
    assert checked_model_arguments({name: value}, "at") == {name: value}


@pytest.mark.parametrize(
    "value",
    [
        "relu",
        "a/b",
        65537,
        -1e9,
        math.nan,
        math.inf,
        {"a": 1},
        [1] * 65,
        [[[[1]]]],
        ["x"],
        b"x",
        object(),
        print,
    ],
)
def test_what_is_neither_a_number_nor_a_layer_is_refused(value: object) -> None:
    with pytest.raises(SpaceError, match=r"^at\.depth: .* is not taken from a space") as caught:
        checked_model_arguments({"depth": value}, "at")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["a.b", "a/b", "x" * 41, "", "a b", "é"])
def test_a_layer_is_a_plain_name(value: str) -> None:
    if value == "":
        assert checked_model_arguments({"norm_layer": value}, "at")
        return
    with pytest.raises(SpaceError, match=r"^at\.norm_layer: "):
        checked_model_arguments({"norm_layer": value}, "at")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_argument_of_timms_own_machinery_is_refused(name: str) -> None:
    with pytest.raises(SpaceError, match=f"'{name}' is not taken from a space"):
        checked_model_arguments({name: 1}, "at")


def test_arguments_of_the_first_weights_are_left_out_whatever_they_hold() -> None:
    began = {
        "checkpoint_path": "/a",
        "cache_dir": object(),
        "pretrained": "x",
        "pretrained_cfg": {"url": "http://x"},
        "pretrained_cfg_overlay": {},
        "depth": 2,
    }
    assert lasting_model_arguments(began) == {"depth": 2}
    assert checked_model_arguments(began, "at") == {"depth": 2}
    assert len(began) == 6, "what is given stays as it is"
