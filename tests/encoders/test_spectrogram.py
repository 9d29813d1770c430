"""The spectrogram's fields are flat in every description, and old configs keep their place."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser

from mmembed.encoders import AudioEncoder, Encoder
from mmembed.encoders.description import build, describe
from mmembed.encoders.spectrogram import FormerArguments, Spectrogram, with_former
from mmembed.errors import SpaceError


def encoders_of(config: Path) -> dict[str, Any]:
    """Return the encoders that a config describes, by field."""
    described = yaml.safe_load(config.read_text("utf-8"))
    return described["model"]["space"]["init_args"]["encoders"]


CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
WITH_AUDIO = [config for config in CONFIGS if "audio" in encoders_of(config)]
FORMER = {"mels": 16, "window_seconds": 0.032, "floor": 0.0, "standardise": "band"}


def test_former_places_mean_the_same_and_say_the_new_one_in_a_line() -> None:
    with pytest.warns(FutureWarning) as caught:
        old = AudioEncoder("test_resnet", highest_hz=4000.0, **FORMER)
    assert [str(each.message) for each in caught] == [
        "AudioEncoder: write spectrogram: {highest_hz: 4000.0, mels: 16, window_seconds: 0.032, "
        "floor: 0.0, standardise: band}; highest_hz, mels, window_seconds, floor, standardise "
        "beside it will be refused by the next version"
    ]
    assert caught[0].filename == __file__
    new = AudioEncoder("test_resnet", spectrogram=Spectrogram(highest_hz=4000.0, **FORMER))
    assert describe(old) == describe(new)
    assert {name: t.shape for name, t in old.state_dict().items()} == {
        name: t.shape for name, t in new.state_dict().items()
    }


def configured(arguments: dict[str, Any]) -> Encoder:
    """Build an encoder as ``fit`` does of a config."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--encoder", type=Encoder)
    given = {"encoder": {"class_path": "AudioEncoder", "init_args": arguments}}
    return parser.instantiate(parser.parse_object(given)).encoder


@pytest.mark.parametrize("config", WITH_AUDIO, ids=lambda path: path.stem)
def test_configs_describe_the_same_in_the_former_and_in_the_new_place(config: Path) -> None:
    arguments = encoders_of(config)["audio"]["init_args"]
    nested = configured(arguments)
    flat = {name: value for name, value in arguments.items() if name != "spectrogram"}
    with pytest.warns(FutureWarning, match="AudioEncoder: write spectrogram: {mels: "):
        former = configured({**flat, **arguments["spectrogram"]})
    described = json.dumps(describe(nested))
    assert described == json.dumps(describe(former))
    assert '"floor": 0,' not in described, "numbers are written as ever"
    assert all(
        f'"{name}": {float(value)}' in described
        for name, value in flat.items()
        if name.endswith("masking")
    )


def test_a_config_without_a_spectrogram_has_the_usual_one() -> None:
    assert describe(configured({"model": "test_resnet"})) == describe(AudioEncoder("test_resnet"))


def test_new_places_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = AudioEncoder("test_resnet", spectrogram=Spectrogram(mels=16))
        build(describe(encoder))


def test_a_former_place_wins_over_the_field_it_changes_and_no_other() -> None:
    with pytest.warns(FutureWarning, match="write spectrogram: {mels: 8}"):
        merged = with_former(Spectrogram(mels=99, floor=0.5), {"mels": 8})
    assert merged == Spectrogram(mels=8, floor=0.5)


def test_former_places_are_the_fields() -> None:
    fields = {field.name for field in dataclasses.fields(Spectrogram)}
    assert set(FormerArguments.__annotations__) == fields
    with pytest.raises(TypeError, match="colour"):
        AudioEncoder("test_resnet", colour=3)


def test_description_is_flat_and_in_the_order_of_version_0_1() -> None:
    described = describe(AudioEncoder("test_resnet", spectrogram=Spectrogram(mels=16)))
    assert list(described["init_args"]) == [
        "model",
        "pretrained",
        "model_args",
        "preprocess",
        "mels",
        "window_seconds",
        "step_seconds",
        "lowest_hz",
        "highest_hz",
        "standardise",
        "floor",
        "pooling",
        "time_masking",
        "band_masking",
    ]
    assert described["init_args"]["mels"] == 16


@settings(deadline=None, max_examples=15)
@given(
    st.builds(
        Spectrogram,
        mels=st.integers(8, 24),
        window_seconds=st.floats(0.01, 0.05),
        step_seconds=st.floats(0.005, 0.05),
        highest_hz=st.none() | st.floats(2000, 8000),
        standardise=st.sampled_from(["none", "item", "band"]),
        floor=st.floats(0, 0.1),
    )
)
def test_every_spectrogram_survives_its_description(spectrogram: Spectrogram) -> None:
    again = build(describe(AudioEncoder("test_resnet", spectrogram=spectrogram)))
    assert again.spectrogram == spectrogram


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("mels", "16", r"audio\.mels: must be int, not '16'"),
        ("standardise", "loud", r"audio\.standardise: must be Literal"),
        ("highest_hz", [1], r"audio\.highest_hz: must be float \| None"),
        ("former", {"mels": 3}, "refuses the saved arguments: it takes no 'former'"),
        ("spectrogram", None, "spectrogram is not written as one"),
        ("colour", 1, "refuses the saved arguments: it takes no 'colour'"),
    ],
)
def test_a_description_with_a_wrong_field_is_refused(name: str, value: object, says: str) -> None:
    described = describe(AudioEncoder("test_resnet"))
    described["init_args"][name] = value
    with pytest.raises(SpaceError, match=says):
        build(described, "audio")
