"""Names of the version before: configs and words that have them train as they did, with a line."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mmembed.cli.commands import main
from mmembed.cli.old_config_names import (
    AUDIO_STEPS,
    CLASS_PATHS,
    KEYS,
    renamed_config,
    renamed_words,
)
from mmembed.data import augment
from mmembed.errors import ConfigError
from mmembed.space.loading import load_space

Write = Callable[..., str]
IMAGE = "model__space__init_args__encoders__image__init_args__preprocess"


def written_as_before(written: Write) -> str:
    """A config as the version before wrote it, every name that moved in it."""
    return written(
        trainer__max_epochs=1,
        model__space__class_path="mmembed.space.Space",
        **{
            IMAGE: {
                "class_path": "mmembed.data.preprocess.ImagePreprocess",
                "init_args": {"size": 16},
            }
        },
        model__learning_rate=0.004,
        model__weight_decay=0.1,
        model__warmup_share=0.5,
        data__num_workers=0,
        data__cache_mb=7,
        data__on_error="raise",
        data__augment={
            "audio": {
                "class_path": "mmembed.data.augment.AudioAugment",
                "init_args": {"sample_rate": 4000, "crop": 0.1, "snr_db": [10, 20]},
            }
        },
    )


def todays(config: dict[str, Any]) -> dict[str, Any]:
    return renamed_config(config)[0]


@pytest.mark.parametrize("new", CLASS_PATHS.values())
def test_todays_class_paths_are_there(new: str) -> None:
    module, _, name = new.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_an_old_config_trains_as_todays_does_and_each_name_is_said_once(
    written: Write, capsys: pytest.CaptureFixture
) -> None:
    path = written_as_before(written)
    assert main(["fit", "-c", path]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if " is now " in line]
    assert len(said) == len(set(said)) == 9
    for text in (
        "mmembed: model.learning_rate is now model.optimizer.init_args.lr; the old name works in",
        "mmembed: model.weight_decay is now model.optimizer.init_args.weight_decay;",
        "mmembed: model.warmup_share is now model.schedule.init_args.warmup_share;",
        "mmembed: data.num_workers is now data.loading.num_workers;",
        "mmembed: data.cache_mb is now data.loading.cache_mb;",
        "mmembed: data.on_error is now data.loading.on_error;",
        "mmembed: mmembed.space.Space is now mmembed.space.space.Space;",
        "mmembed: mmembed.data.preprocess.ImagePreprocess is now mmembed.preprocess.image.Image",
        "mmembed: data.augment.audio: AudioAugment is now a list: AudioTiming, AudioNoise;",
    ):
        assert sum(line.startswith(text) for line in said) == 1, text
    first = load_space("space").state_dict()
    (saved,) = Path("run").rglob("config.yaml")
    kept = yaml.safe_load(saved.read_text())
    assert kept["model"]["optimizer"]["init_args"]["lr"] == 0.004
    assert kept["model"]["optimizer"]["init_args"]["weight_decay"] == 0.1
    assert kept["model"]["schedule"]["init_args"]["warmup_share"] == 0.5
    assert kept["data"]["loading"] == {"num_workers": 0, "cache_mb": 7, "on_error": "raise"}
    assert main(["fit", "-c", str(saved)]) == 0
    assert " is now " not in capsys.readouterr().err
    again = load_space("space").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_old_words_work_and_are_said(written: Write, capsys: pytest.CaptureFixture) -> None:
    words = ["--model.learning_rate", "0.005", "--data.num_workers=0", "--print_config"]
    with pytest.raises(SystemExit) as stop:
        main(["fit", "-c", written(), "--model.space=mmembed.space.Space", *words])
    assert stop.value.code == 0
    out, said = capsys.readouterr()
    printed = yaml.safe_load(out)
    assert printed["model"]["optimizer"]["init_args"]["lr"] == 0.005
    assert printed["model"]["space"]["class_path"] == "mmembed.space.space.Space"
    assert printed["model"]["space"]["init_args"]["dim"] == 8
    assert [line.split(" is now ")[0] for line in said.splitlines()] == [
        "mmembed: mmembed.space.Space",
        "mmembed: model.learning_rate",
        "mmembed: data.num_workers",
    ]


def test_words_that_only_look_like_old_names_stay() -> None:
    words = ["--model.learning_rates", "x/mmembed.space.Space", "mmembed.space.Spaces", "--seed"]
    assert renamed_words(words) == (words, [])


@pytest.mark.parametrize(
    ("words", "renamed"),
    [
        (["--optimizer=SGD"], ["--model.optimizer=SGD"]),
        (["--optimizer.lr", "0.1"], ["--model.optimizer.lr", "0.1"]),
        (["--lr_scheduler", "StepLR"], ["--model.schedule", "StepLR"]),
    ],
)
def test_the_optimizer_of_lightnings_own_keys_is_the_models(
    words: list[str], renamed: list[str]
) -> None:
    assert renamed_words(words)[0] == renamed
    assert len(renamed_words(words)[1]) == 1


def test_keys_that_were_null_are_left_out_in_silence() -> None:
    config = {"optimizer": None, "lr_scheduler": None, "model": {"learning_rate": None}}
    renamed, lines = renamed_config(config)
    assert renamed == {"model": {}}
    assert lines == []


def test_a_config_of_today_is_left_as_it_is() -> None:
    for path in (Path(__file__).parents[2] / "configs").glob("*.yaml"):
        config = yaml.safe_load(path.read_text())
        assert renamed_config(config) == (config, [])


@pytest.mark.parametrize("old", KEYS)
def test_a_key_set_under_both_names_is_refused(old: str) -> None:
    config: dict[str, Any] = {}
    for name in (old, KEYS[old]):
        *parents, last = name.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = 1
    before = repr(config)
    with pytest.raises(ConfigError, match=f"{old}: is now {KEYS[old]}, which is set too; keep th"):
        renamed_config(config)
    assert repr(config) == before


def test_a_key_whose_new_place_is_named_by_its_class_alone_is_refused() -> None:
    config = {"model": {"learning_rate": 0.1, "optimizer": "SGD"}}
    with pytest.raises(ConfigError, match="is now model.optimizer.init_args.lr, which is set too"):
        renamed_config(config)


def test_both_names_in_a_config_are_one_line(written: Write, capsys: pytest.CaptureFixture) -> None:
    path = written(model__learning_rate=0.1, model__optimizer__init_args__lr=0.2)
    assert main(["fit", "-c", path]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "error: fit.yaml:" in said
    assert "model.learning_rate: is now model.optimizer.init_args.lr, which is set too" in said


def test_a_saved_audio_augment_becomes_the_steps_it_used() -> None:
    unused = {"dynamics": None, "aliasing": None, "reverb_seconds": None, "gain_db": 0.0}
    used = {"sample_rate": 8000, "crop": 0.1, "equaliser_db": 3.0, "snr_db": [1, 2]}
    part = {"class_path": "AudioAugment", "init_args": {**unused, **used}}
    steps = todays({"data": {"augment": {"audio": part}}})["data"]["augment"]["audio"]
    assert steps == [
        {"class_path": "AudioTiming", "init_args": {"sample_rate": 8000, "crop": 0.1}},
        {"class_path": "AudioFilter", "init_args": {"sample_rate": 8000, "equaliser_db": 3.0}},
        {"class_path": "AudioNoise", "init_args": {"snr_db": [1, 2]}},
    ]


def test_every_argument_of_audio_augment_has_its_step() -> None:
    arguments = {
        "sample_rate": 8000,
        "crop": 0.1,
        "dynamics": [-0.3, 1],
        "speed_semitones": 4,
        "silence_seconds": 0.1,
        "aliasing": [0, 2],
        "equaliser_db": 6,
        "pass_band_hz": [300, 2500],
        "reverb_seconds": [0.05, 0.3],
        "snr_db": [5, 30],
        "gain_db": 6,
    }
    part = {"class_path": "AudioAugment", "init_args": arguments}
    steps = todays({"data": {"augment": {"audio": part}}})["data"]["augment"]["audio"]
    assert [step["class_path"] for step in steps] == list(AUDIO_STEPS)
    for step in steps:
        getattr(augment, step["class_path"])(**step["init_args"])
    given = [value for step in steps for name, value in step["init_args"].items()]
    assert all(value in given for value in arguments.values())


def test_an_audio_augment_with_another_argument_is_refused() -> None:
    part = {"class_path": "AudioAugment", "init_args": {"sample_rate": 1, "snr": 3}}
    with pytest.raises(ConfigError, match="data.augment.audio.snr: AudioAugment has no such arg"):
        renamed_config({"data": {"augment": {"audio": part}}})


@pytest.mark.parametrize(
    "config",
    [
        {"model": "model.yaml", "data": "data.yaml"},
        {"model": {"space": None}, "data": {"augment": None}},
        {"model": [1], "data": {"augment": {"audio": "AudioNoise"}}},
        {},
    ],
)
def test_odd_configs_are_left_to_the_parser(config: dict[str, Any]) -> None:
    assert renamed_config(config) == (config, [])
