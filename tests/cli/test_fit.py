"""``mmembed fit | validate | test | predict``, and what it says to a config that is wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mmembed.cli.commands import main
from mmembed.space.loading import load_space

Write = Callable[..., str]
ENCODERS = "model__space__init_args__encoders"


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_fit_leaves_a_space_logs_a_checkpoint_and_its_config(
    written: Write, capsys: pytest.CaptureFixture
) -> None:
    assert main(["fit", "-c", written(), "--model.optimizer.lr", "0.002"]) == 0
    assert load_space("space").modalities == ("image", "audio")
    (run,) = Path("run/log").iterdir()
    assert {p.name.split(".")[0] for p in run.iterdir()} == {
        "checkpoints",
        "config",
        "events",
        "hparams",
        "metrics",
    }
    model = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert model["optimizer"]["init_args"]["lr"] == 0.002
    assert model["optimizer"]["init_args"]["betas"] == [0.9, 0.98]
    assert model["schedule"]["init_args"] == {"warmup_share": 0.1}
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    logged = {name for row in rows for name, value in row.items() if value}
    assert {"val/image-audio/mAP", "val/audio-image/R@1", "val/mAP"} <= logged
    assert {"train/loss_epoch", "train/loss/image-audio", "train/logit_scale"} <= logged
    said = capsys.readouterr().err
    assert "train: 18 samples (18 image, 18 audio)" in said
    assert "epoch 2/2  train/loss " in said
    assert "space: space (" in said


def test_resuming_equals_never_having_stopped(written: Write) -> None:
    keep = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": "kept", "filename": "{epoch}", "save_top_k": -1},
    }
    path = written(trainer__callbacks=[keep], trainer__max_epochs=3)
    assert main(["fit", "-c", path]) == 0
    whole = weights(Path("kept/epoch=2.ckpt"))
    Path("kept/epoch=2.ckpt").unlink()
    assert main(["fit", "-c", path, "--ckpt_path", "kept/epoch=0.ckpt"]) == 0
    resumed = weights(Path("kept/epoch=2.ckpt"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    first = weights(Path("kept/epoch=0.ckpt"))
    assert any(not torch.equal(whole[name], first[name]) for name in whole)


def test_validate_test_and_predict_score_a_checkpoint(
    written: Write, capsys: pytest.CaptureFixture
) -> None:
    path = written(trainer__max_epochs=1)
    assert main(["fit", "-c", path]) == 0
    (checkpoint,) = Path("run").rglob("*.ckpt")
    for job in ("validate", "test", "predict"):
        assert main([job, "-c", path, "--ckpt_path", str(checkpoint)]) == 0
    assert "val/image-audio/mAP" in capsys.readouterr().out


def test_last_is_the_newest_checkpoint_of_the_config(
    written: Write, capsys: pytest.CaptureFixture
) -> None:
    path = written(trainer__max_epochs=1)
    assert main(["test", "-c", path, "--ckpt_path", "last"]) == 2
    assert "--ckpt_path last: no checkpoint below run/log. Run fit" in capsys.readouterr().err
    assert main(["fit", "-c", path]) == 0
    first = load_space("space").fingerprint
    more = written(trainer__max_epochs=3)
    assert main(["fit", "-c", more, "--ckpt_path", "last"]) == 0
    said = capsys.readouterr().err
    assert "epoch 2/3" in said
    assert said.count("epoch 1/") == 1
    assert load_space("space").fingerprint != first
    assert main(["test", "-c", more, "--ckpt_path", "last"]) == 0


def test_every_epoch_leaves_a_checkpoint_even_where_few_are_validated(written: Write) -> None:
    kept = written(trainer__max_epochs=3, trainer__check_val_every_n_epoch=10)
    assert main(["fit", "-c", kept]) == 0
    (checkpoint,) = Path("run").rglob("*.ckpt")
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 2


def test_print_config_is_a_config(written: Write, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "-c", written(), "--print_config"])
    assert stop.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["data"]["batch_size"] == 6
    assert printed["model"]["least_temperature"] == 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trainer__max_epoch": 1},
            "config key trainer.max_epoch; did you mean trainer.max_epochs",
        ),
        ({"model__temperatur": 1}, "model.temperatur; did you mean model.temperature?"),
        (
            {"model__optimizer": {"class_path": "AdamV"}},
            "model.optimizer: no class AdamV; did you mean AdamW?",
        ),
        (
            {"model__schedule": {"class_path": "WarmupCosin"}},
            "model.schedule: no class WarmupCosin; did you mean WarmupCosine?",
        ),
        ({"model__schedule__init_args": {"warmup": 1}}, "config key warmup; did you mean"),
        ({"data__loading": {"workers": 1}}, "config key data.loading.workers; did you mean"),
        ({"data__batchsize": 1}, "data.batchsize; did you mean data.batch_size?"),
        ({"modle__dim": 1}, "unknown option or config key modle.dim; did you mean model?"),
        ({"model__space__init_args__dims": 1}, "config key dims; did you mean dim?"),
        (
            {f"{ENCODERS}__image__init_args__preprocess": {"sise": 3}},
            "config key sise; did you mean size?",
        ),
        ({f"{ENCODERS}__image__class_path": "ImageEncodr"}, "no class ImageEncodr; did you mean"),
        ({"model__loss": "InfoNEC"}, "model.loss: no class InfoNEC; did you mean InfoNCE?"),
        (
            {"model__loss": {"class_path": "InfoNCE", "init_args": {"mask_label": True}}},
            "config key mask_label; did you mean mask_labels?",
        ),
        ({"data__batch_size": "many"}, "data.batch_size: expected int, got many"),
        ({"trainer__max_epochs": "x"}, "trainer.max_epochs: expected int, got x"),
        ({"model__pairs": {"image-vidoe": 1.0}}, "model.pairs.image-vidoe: write two of"),
        ({"data__manifest": "nowhere"}, "nowhere: no such folder or manifest"),
        ({"data__batch_size": 1}, "data.batch_size 1: needs at least 2"),
    ],
)
def test_a_wrong_config_is_one_line_with_a_way_out(
    written: Write, capsys: pytest.CaptureFixture, changes: dict[str, Any], message: str
) -> None:
    assert main(["fit", "--config", written(**changes)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mmembed: error: ")
    assert message in said
    assert said.count("\n") == 1


def test_a_wrong_key_is_found_in_its_file(written: Write, capsys: pytest.CaptureFixture) -> None:
    path = written(data__batchsize=3)
    lines = Path(path).read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "batchsize" in line)
    assert main(["fit", "--config", path]) == 2
    assert f"error: fit.yaml:{number}: unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.batchsize", "3"], "key --data.batchsize; did you mean data.batch_size?"),
        (["--data.batch_size", "x"], "mmembed: error: data.batch_size: expected int, got x"),
        (["--ckpt_path", "none.ckpt"], "--ckpt-path none.ckpt: no such file"),
        (["--config", "nope.yaml"], "--config nope.yaml: no such file"),
        (["--config=broken.yaml"], "--config broken.yaml: not YAML"),
        (["-c", "list.yaml"], "--config list.yaml: holds no keys such as model and data"),
    ],
)
def test_a_wrong_option_is_named(
    written: Write, capsys: pytest.CaptureFixture, words: list[str], message: str
) -> None:
    Path("broken.yaml").write_text("a: [1")
    Path("list.yaml").write_text("- a\n")
    assert main(["fit", "-c", written(), *words]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("mmembed: error: ")
    assert message in last


def test_nothing_given_says_what_is_missing(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit"]) == 2
    said = capsys.readouterr().err
    assert "error: missing: model.space, data.manifest. Give it as an option" in said


def test_a_checkpoint_of_another_model_is_refused(
    written: Write, capsys: pytest.CaptureFixture
) -> None:
    assert main(["fit", "-c", written(trainer__max_epochs=1)]) == 0
    (checkpoint,) = Path("run").rglob("*.ckpt")
    other = written(model__space__init_args__dim=4)
    assert main(["test", "-c", other, "--ckpt_path", str(checkpoint)]) == 2
    assert "the checkpoint is of another model than the config" in capsys.readouterr().err


def test_other_mistakes_of_the_program_are_not_hidden(
    written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("mmembed.training.module.ContrastiveModule.batch_loss", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["fit", "-c", written()])


def test_the_saved_config_runs_again(written: Write) -> None:
    assert main(["fit", "-c", written(trainer__max_epochs=1)]) == 0
    (saved,) = Path("run").rglob("config.yaml")
    first = load_space("space").fingerprint
    assert main(["fit", "-c", str(saved)]) == 0
    assert load_space("space").fingerprint == first
