"""Training by field: cells that hold texts, two fields of a kind, and preprocesses that learn."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from mmembed.cli.commands import main
from mmembed.errors import ConfigError, ManifestError
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.vocabulary import Vocabulary
from mmembed.space.space import Space
from mmembed.training.datamodule import Loading, MediaDataModule
from mmembed.training.module import ContrastiveModule
from tests.data.word_list import WordPreprocess
from tests.training.conftest import silent_trainer
from tests.training.word_encoder import WordEncoder

Write = Callable[..., str]
COLOURS = ("red", "green", "blue", "black", "white", "pink", "grey", "gold")


def rows(count: int = 32) -> list[dict[str, Any]]:
    """Titles of a word, bodies of two texts; "rare" is a word of split val alone."""
    made = []
    for i in range(count):
        colour, split = COLOURS[i % len(COLOURS)], "val" if i % 5 == 0 else "train"
        body = [f"it is {colour}", f"{colour} it is, it is" + (" rare" if split == "val" else "")]
        made.append({"title": colour, "body": body, "split": split, "group": f"g{i}"})
    return made


def manifest(folder: Path, made: list[dict[str, Any]]) -> str:
    path = folder / "m.jsonl"
    path.write_text("\n".join(map(json.dumps, made)))
    return str(path)


@pytest.fixture
def words(written: Write, tmp_path: Path) -> Write:
    """Write the config of a space of titles and bodies, with some keys changed."""
    encoder = {"class_path": "tests.training.word_encoder.WordEncoder"}
    path = manifest(tmp_path, rows())

    def write(**changes: Any) -> str:
        data = {"manifest": path, "batch_size": 8}
        fields = {"title": encoder, "body": encoder}
        given = {"model__space__init_args__encoders": fields, "data": data, **changes}
        return written(**given)

    return write


def state(path: str | Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def kept_checkpoints() -> dict[str, Any]:
    return {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": "kept", "filename": "{epoch}", "save_top_k": -1},
    }


def test_fit_trains_two_fields_of_a_kind_and_names_them_in_lines_and_logs(
    words: Write, capsys: pytest.CaptureFixture
) -> None:
    assert main(["fit", "-c", words()]) == 0
    said = capsys.readouterr().err
    assert "title: 8 words from 25 samples of split train\n" in said
    assert "body: 11 words from 25 samples of split train\n" in said
    assert "train: 25 samples (50 body, 25 title)\n" in said
    assert "val: 7 samples (14 body, 7 title)\n" in said
    (log,) = Path("run").rglob("metrics.csv")
    logged = {name for row in csv.DictReader(log.open()) for name, value in row.items() if value}
    assert {"train/loss/body-title", "val/body-title/mAP", "val/body/effective_rank"} <= logged


def test_a_preprocess_learns_from_split_train_alone(tmp_path: Path) -> None:
    fields: dict[str, Preprocess] = {"title": WordPreprocess(), "body": WordPreprocess()}
    data = MediaDataModule(manifest(tmp_path, rows()), fields)
    data.setup()
    learnt = data.preprocess["body"].known.places  # type: ignore[attr-defined]
    assert {"it", "is", "red"} <= set(learnt)
    assert "rare" not in learnt
    assert set(data.learnt) == {"title", "body"}
    (batch,) = list(data.val_dataloader())
    assert 1 not in batch.values["title"]


def test_held_out_samples_teach_nothing_either(tmp_path: Path) -> None:
    made = [{"text": f"w{i}", "group": f"g{i}"} for i in range(40)]
    data = MediaDataModule(manifest(tmp_path, made), {"text": WordPreprocess()}, val_fraction=0.5)
    data.setup()
    assert len(data.preprocess["text"].known.places) == 20  # type: ignore[attr-defined]
    (batch,) = list(data.val_dataloader())
    assert set(batch.values["text"][:, 0].tolist()) == {1}


def test_a_preprocess_that_knows_its_words_is_taken_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    known = WordPreprocess(Vocabulary.of(["red"]))
    made = [{"title": row["title"]} for row in rows()]
    data = MediaDataModule(manifest(tmp_path, made), {"title": known})
    data.setup()
    assert data.preprocess["title"] is known
    assert not data.learnt
    assert "words" not in capsys.readouterr().err


def test_resuming_equals_never_having_stopped_though_the_data_has_grown(words: Write) -> None:
    path = words(trainer__callbacks=[kept_checkpoints()], trainer__max_epochs=3)
    assert main(["fit", "-c", path]) == 0
    whole = state("kept/epoch=2.ckpt")
    assert whole["learnt"]["title"] == {"known": json.dumps(sorted(COLOURS)).encode()}
    Path("kept/epoch=2.ckpt").unlink()
    assert main(["fit", "-c", path, "--ckpt_path", "kept/epoch=0.ckpt"]) == 0
    resumed = state("kept/epoch=2.ckpt")
    weights = whole["state_dict"]
    assert all(torch.equal(weights[name], resumed["state_dict"][name]) for name in weights)
    assert resumed["learnt"] == whole["learnt"]
    first = state("kept/epoch=0.ckpt")["state_dict"]
    assert any(not torch.equal(weights[name], first[name]) for name in weights)


def test_a_checkpoint_brings_what_was_learnt_whatever_the_data_holds_now(
    words: Write, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = words(trainer__callbacks=[kept_checkpoints()], trainer__max_epochs=1)
    assert main(["fit", "-c", path]) == 0
    capsys.readouterr()
    more = [{"title": "aaa bbb", "body": ["ccc"]}, {"title": "zzz", "body": ["ddd"]}]
    manifest(tmp_path, [*rows(), *more])
    for job in ("validate", "test", "predict"):
        assert main([job, "-c", path, "--ckpt_path", "kept/epoch=0.ckpt"]) == 0
    longer = ["--trainer.max_epochs", "2", "--ckpt_path", "kept/epoch=0.ckpt"]
    assert main(["fit", "-c", path, *longer]) == 0
    assert "words from" not in capsys.readouterr().err
    before, after = state("kept/epoch=0.ckpt"), state("kept/epoch=1.ckpt")
    assert after["learnt"] == before["learnt"]


@pytest.fixture
def trainer(tmp_path: Path) -> pl.Trainer:
    return silent_trainer(1, default_root_dir=tmp_path)


def two_fields() -> ContrastiveModule:
    torch.manual_seed(0)
    return ContrastiveModule(Space({"title": WordEncoder(), "body": WordEncoder()}, dim=4))


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*logging interval")
def test_in_python_a_checkpoint_and_trained_weights_win_over_what_data_taught(
    tmp_path: Path, trainer: pl.Trainer
) -> None:
    module = two_fields()
    data = MediaDataModule(manifest(tmp_path, rows()), module.space.preprocess, batch_size=8)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    learnt = dict(module.space.preprocess)
    assert [module.space.encoders[field].adopted for field in learnt] == [1, 1]
    other = manifest(tmp_path, [*rows(), {"title": "aaa", "body": ["bbb"]}])

    fresh = two_fields()
    again = MediaDataModule(other, fresh.space.preprocess, batch_size=8)
    trainer.validate(fresh, again, ckpt_path=tmp_path / "x.ckpt", verbose=False)
    assert fresh.space.preprocess == again.preprocess == learnt
    assert all(each.preprocess == learnt for each in again.datasets.values())

    bare = MediaDataModule(other, two_fields().space.preprocess, batch_size=8)
    trainer.validate(module, bare, verbose=False)
    assert bare.preprocess == learnt

    loaded = ContrastiveModule.load_from_checkpoint(
        tmp_path / "x.ckpt", space=two_fields().space, weights_only=True
    )
    assert loaded.space.preprocess == learnt


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*fork")
def test_workers_draw_the_same_texts(tmp_path: Path) -> None:
    def batches(workers: int) -> list[torch.Tensor]:
        fields: dict[str, Preprocess] = {"title": WordPreprocess(), "body": WordPreprocess()}
        loading = Loading(num_workers=workers)
        path = manifest(tmp_path, rows())
        data = MediaDataModule(path, fields, batch_size=8, loading=loading)
        data.setup()
        loader = data.train_dataloader()
        values = []
        for epoch in range(2):
            loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
            values += [batch.values["body"] for batch in loader]
        return values

    alone, shared = batches(0), batches(2)
    assert all(torch.equal(one, two) for one, two in zip(alone, shared, strict=True))


def test_a_folder_of_pictures_and_texts_trains(
    written: Write, media: Path, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in media.rglob("*.png"):
        (folder / path.name).symlink_to(path)
        (folder / f"{path.stem}.txt").write_text(f"{path.parent.name} number {path.stem}")
    encoders = "model__space__init_args__encoders"
    path = written(
        **{
            f"{encoders}__audio": {"class_path": "tests.training.word_encoder.WordEncoder"},
            "data__manifest": str(folder),
        }
    )
    text = Path(path).read_text().replace("audio:", "text:")
    Path(path).write_text(text)
    assert main(["fit", "-c", path]) == 0
    assert "train: 18 samples (18 image, 18 text)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        (
            {"text": "b"},
            {},
            "field body: the manifest has no column body, and text could be for body or title",
        ),
        ({}, {}, "field body has no items in split train, from which its preprocess has to learn"),
        (
            {"body": ["a", "b"]},
            {"model__pairs": {"title-text": 1.0}},
            "model.pairs.title-text: write two of body, title with a hyphen between",
        ),
    ],
)
def test_a_mistake_in_fields_is_one_line(
    words: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    columns: dict[str, Any],
    changes: dict[str, Any],
    message: str,
) -> None:
    path = words(**changes)
    manifest(tmp_path, [{"title": each["title"], **columns} for each in rows()])
    assert main(["fit", "-c", path]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mmembed: error: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("filled", [False, True])
def test_a_field_of_a_pair_needs_items_in_split_train(tmp_path: Path, filled: bool) -> None:
    made = rows()
    for row in made:
        if row["split"] == "train" or not filled:
            del row["body"]
    data = MediaDataModule(
        manifest(tmp_path, made),
        {"title": WordPreprocess(), "body": WordPreprocess(Vocabulary.of(["it"]))},
    )
    data.setup()
    data.check_items(["title"])
    with pytest.raises(ManifestError, match="field body has no items in split train that can be"):
        data.check_items(["title", "body"])


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*logging interval")
def test_a_field_in_no_pair_may_lack_items(tmp_path: Path, trainer: pl.Trainer) -> None:
    known = WordPreprocess(Vocabulary.of(["it"]))
    space = Space({"title": WordEncoder(), "body": WordEncoder(preprocess=known)}, dim=4)
    path = manifest(tmp_path, [{"title": row["title"]} for row in rows()])
    within = ContrastiveModule(space, pairs={"title-title": 1.0, "title-body": 0.0})
    trainer.fit(within, MediaDataModule(path, space.preprocess, batch_size=8))
    both = ContrastiveModule(space)
    with pytest.raises(ManifestError, match="field body has no items in split train that can be"):
        trainer.fit(both, MediaDataModule(path, space.preprocess, batch_size=8))


def test_a_checkpoint_without_what_a_field_learnt_is_refused() -> None:
    with pytest.raises(ConfigError, match="has nothing that field title learnt; it is of another"):
        two_fields().on_load_checkpoint({})
