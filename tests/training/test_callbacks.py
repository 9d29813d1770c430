"""Files and lines that a run leaves behind, and its warnings of trouble."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmembed.cli.commands import main
from mmembed.errors import SpaceError
from mmembed.space.loading import load_space

Write = Callable[..., str]
MODULE = "mmembed.training.module.ContrastiveModule"


def test_space_tells_what_it_was_trained_on(written: Write, media: Path) -> None:
    assert main(["fit", "-c", written()]) == 0
    card = json.loads(Path("space/space.json").read_text())
    assert card["training"] == {
        "epochs": 2,
        "steps": 6,
        "manifest": str(media),
        "weights": "last",
    }


def test_best_weights_are_those_of_the_kept_checkpoint(written: Write) -> None:
    keep = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": "kept", "filename": "best", "monitor": "train/loss_epoch"},
    }
    keep["init_args"] |= {"mode": "max", "save_top_k": 1}  # type: ignore[operator]
    path = written(trainer__callbacks=[keep], save_space__weights="best")
    assert main(["fit", "-c", path]) == 0
    kept = torch.load("kept/best.ckpt", weights_only=True)["state_dict"]
    saved = load_space("space").state_dict()
    assert all(torch.equal(kept[f"space.{name}"], saved[name]) for name in saved)


def test_best_weights_need_a_kept_checkpoint(written: Write, capsys: pytest.CaptureFixture) -> None:
    path = written(save_space__weights="best", trainer__enable_checkpointing=False)
    assert main(["fit", "-c", path]) == 2
    assert "SaveSpace: weights is best, but no ModelCheckpoint kept" in capsys.readouterr().err


def test_a_space_that_can_not_be_saved_is_refused_before_it_is_trained(
    written: Write, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> None:
        raise SpaceError("assets of this class can't be saved")

    monkeypatch.setattr("mmembed.space.space.Space.describe", refused)
    assert main(["fit", "-c", written()]) == 2
    said = capsys.readouterr().err
    assert "error: assets of this class can't be saved" in said
    assert "epoch 1/2" not in said


def test_a_trial_run_saves_nothing(written: Write) -> None:
    assert main(["fit", "-c", written(trainer__fast_dev_run=True)]) == 0
    assert not Path("space").exists()


def test_a_loss_that_is_no_number_stops_the_run(
    written: Write, capsys: pytest.CaptureFixture
) -> None:
    assert main(["fit", "-c", written(model__optimizer__init_args__lr=1e30)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "mmembed: error: the loss is nan at step" in last
    assert "lower model.optimizer.init_args.lr, or train in fp32" in last
    assert not Path("space").exists()


@pytest.mark.parametrize("loss", ["InfoNCE", "SupervisedContrastive", "SigLIP"])
def test_a_loss_stuck_at_chance_is_warned_of(
    written: Write, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    def constant(self: Any, batch: Any) -> dict[str, torch.Tensor]:
        one = self.space.projections["image"].layers[-1].bias[:1] * 0 + 1
        return {m: one.expand(len(v), 1) for m, v in batch.values.items()}

    monkeypatch.setattr(f"{MODULE}.embed", constant)
    with pytest.warns(UserWarning, match="stayed at that of constant vectors .ln B") as caught:
        assert main(["fit", "-c", written(data__val_fraction=0.0, model__loss=loss)]) == 0
    assert sum("ln B" in str(w.message) for w in caught) == 1


def test_a_healthy_run_is_not_warned_of(written: Write, capsys: pytest.CaptureFixture) -> None:
    options = {"model__loss": "SupervisedContrastive", "trainer__max_epochs": 4}
    with warnings.catch_warnings(record=True) as caught:
        rate = {"model__optimizer__init_args__lr": 0.01}
        assert main(["fit", "-c", written(**options, **rate)]) == 0
    assert not [str(w.message) for w in caught if "collapsed" in str(w.message)]
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 4
    assert lines[-1].endswith("0 s left")
    losses = [float(line.split("train/loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < losses[0]
    assert all(math.isfinite(loss) for loss in losses)


def test_long_epochs_say_how_far_they_are(
    written: Write, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmembed.training.callbacks.LINE_SECONDS", 0.0)
    assert main(["fit", "-c", written(trainer__max_epochs=2)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    places = [re.match(r"epoch ./2  (?:batch (\d) of 3  )?train/loss \d", line) for line in lines]
    assert [place.group(1) if place else "" for place in places] == ["1", "2", None] * 2
