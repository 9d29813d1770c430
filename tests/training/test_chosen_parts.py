"""Losses, optimizer and schedule chosen in a config: they train, resume, and say what is wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmembed.cli.commands import main
from mmembed.space.loading import load_space

Write = Callable[..., str]
CLASSES = {"class_path": "NormalizedSoftmax", "init_args": {"classes": 2, "dim": 8}}
PAIRS = {"image-audio": 1.0, "image-label": 0.5, "audio-label": 0.5}


def kept() -> dict[str, Any]:
    """The only checkpoint of the run."""
    (path,) = Path("run").rglob("*.ckpt")
    return torch.load(path, weights_only=True)


def saved() -> list[str]:
    """The names of the tensors of the saved space."""
    return list(load_file("space/model.safetensors"))


def rates() -> list[float]:
    """The learning rate of each group of weights in the checkpoint."""
    return [group["lr"] for group in kept()["optimizer_states"][0]["param_groups"]]


def test_siglip_trains_its_bias_and_keeps_it_in_the_checkpoint_alone(written: Write) -> None:
    rate = {"model__optimizer__init_args__lr": 0.01}
    assert main(["fit", "-c", written(model__loss="SigLIP", model__temperature=0.1, **rate)]) == 0
    bias = kept()["state_dict"]["loss.bias"].item()
    assert bias != -10
    assert bias == pytest.approx(-10, abs=0.1)
    assert not [name for name in saved() if name.startswith("loss")]


def test_a_class_loss_of_a_config_is_logged_trained_and_not_in_the_space(written: Write) -> None:
    path = written(model__class_loss=CLASSES, model__pairs=PAIRS)
    assert main(["fit", "-c", path]) == 0
    (metrics,) = Path("run").rglob("metrics.csv")
    logged = {n for row in csv.DictReader(metrics.open()) for n, value in row.items() if value}
    assert {"train/loss/image-audio", "train/loss/image-label", "train/loss/audio-label"} <= logged
    assert kept()["state_dict"]["class_loss.prototypes"].shape == (2, 8)
    assert not [name for name in saved() if "prototypes" in name]


def test_a_run_with_parameters_of_losses_resumes_exactly(written: Write) -> None:
    keep = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": "kept", "filename": "{epoch}", "save_top_k": -1},
    }
    options = {"trainer__callbacks": [keep], "model__loss": "SigLIP"}
    path = written(**options, model__class_loss=CLASSES, model__pairs=PAIRS)
    assert main(["fit", "-c", path]) == 0
    whole = torch.load("kept/epoch=1.ckpt", weights_only=True)["state_dict"]
    Path("kept/epoch=1.ckpt").unlink()
    assert main(["fit", "-c", path, "--ckpt_path", "kept/epoch=0.ckpt"]) == 0
    resumed = torch.load("kept/epoch=1.ckpt", weights_only=True)["state_dict"]
    assert {"loss.bias", "class_loss.prototypes"} <= set(whole)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model__class_loss": {**CLASSES, "init_args": {"classes": 2, "dim": 4}}},
            "model.class_loss.dim 4: the space has 8 dimensions",
        ),
        (
            {"model__class_loss": {**CLASSES, "init_args": {"classes": 1, "dim": 8}}},
            "model.class_loss.classes 1: needs at least 2",
        ),
        (
            {"model__schedule": {"class_path": "WarmupCosine", "init_args": {"warmup_share": 2.0}}},
            "model.schedule.warmup_share 2.0: must be in [0, 1]",
        ),
        ({"model__optimizer__init_args__lr": -1.0}, "model.optimizer: can't be made: Invalid lea"),
        ({"trainer__max_epochs": -1}, "model.schedule: needs a run that ends; set trainer.max_ep"),
    ],
)
def test_parts_that_fit_not_are_one_line(
    written: Write, capsys: pytest.CaptureFixture, changes: dict[str, Any], message: str
) -> None:
    assert main(["fit", "-c", written(**changes)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("mmembed: error: ")
    assert message in last


def test_what_is_usual_may_be_written_out(written: Write) -> None:
    assert main(["fit", "-c", written()]) == 0
    usual = load_space("space").fingerprint
    optimizer = {
        "class_path": "torch.optim.AdamW",
        "init_args": {"lr": 1e-3, "betas": [0.9, 0.98], "weight_decay": 0.05},
    }
    schedule = {"class_path": "WarmupCosine", "init_args": {"warmup_share": 0.1}}
    path = written(model__optimizer=optimizer, model__schedule=schedule)
    assert main(["fit", "-c", path]) == 0
    assert load_space("space").fingerprint == usual


def test_another_optimizer_and_a_schedule_of_torch_are_taken(written: Write) -> None:
    optimizer = {
        "class_path": "torch.optim.SGD",
        "init_args": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    }
    schedule = {
        "class_path": "torch.optim.lr_scheduler.StepLR",
        "init_args": {"step_size": 1, "gamma": 0.5},
    }
    assert main(["fit", "-c", written(model__optimizer=optimizer, model__schedule=schedule)]) == 0
    groups = kept()["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert {group["momentum"] for group in groups} == {0.9}
    assert rates() == pytest.approx([0.025] * 2)


def test_the_optimizer_may_be_named_on_the_command_line(written: Write) -> None:
    words = ["--model.optimizer=SGD", "--model.optimizer.lr=0.2", "--model.optimizer.momentum=0.5"]
    assert main(["fit", "-c", written(trainer__max_epochs=1), *words]) == 0
    assert {group["momentum"] for group in kept()["optimizer_states"][0]["param_groups"]} == {0.5}


def test_a_schedule_that_watches_the_training_loss_lowers_the_rate(written: Write) -> None:
    schedule = {
        "class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "init_args": {"mode": "max", "patience": 0, "threshold": 1e9, "factor": 0.1},
    }
    rate = {"model__optimizer__init_args__lr": 0.002}
    path = written(model__schedule=schedule, trainer__max_epochs=3, **rate)
    assert main(["fit", "-c", path]) == 0
    assert rates() == pytest.approx([0.0002] * 2)  # the third look is after the checkpoint
