"""From a manifest to the batches of each split."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from mmembed.data.batch import Batch
from mmembed.errors import ConfigError, ManifestError, MmembedError
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.training.datamodule import Loading, MediaDataModule
from tests.training.conftest import silent_trainer

PREPROCESS: dict[str, Preprocess] = {
    "image": ImagePreprocess(size=8),
    "audio": AudioPreprocess(sample_rate=4000, bucket_seconds=0.25),
}


@pytest.fixture
def media(tmp_path: Path, rng: np.random.Generator) -> Path:
    """40 pictures and sounds in two classes and 20 groups; no split."""
    lines = ["image,audio,label,group"]
    for i in range(40):
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, 1000 + 100 * i), 4000)
        lines.append(f"{i}.png,{i}.wav,{'ab'[i % 2]},g{i // 2}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return tmp_path / "m.csv"


def split_off(media: Path, splits: list[str]) -> Path:
    lines = media.read_text().splitlines()
    rows = [f"{line},{splits[i // 2 % len(splits)]}" for i, line in enumerate(lines[1:])]
    media.write_text("\n".join([f"{lines[0]},split", *rows]))
    return media


def module(media: Path, **options: object) -> MediaDataModule:
    data = MediaDataModule(media, PREPROCESS, **{"batch_size": 8, **options})  # type: ignore[arg-type]
    data.setup()
    return data


def test_validation_never_cuts_a_group(media: Path, capsys: pytest.CaptureFixture) -> None:
    data = module(media, val_fraction=0.2)
    assert {n: len(d) for n, d in data.datasets.items()} == {"train": 32, "val": 8, "test": 0}
    groups = {n: set(d.codes["group"].tolist()) for n, d in data.datasets.items()}
    assert not groups["train"] & groups["val"]
    assert "train: 32 samples (32 image, 32 audio)" in capsys.readouterr().err


def test_held_out_groups_are_a_function_of_the_seed(media: Path) -> None:
    def held(seed: int) -> list[int]:
        return module(media, val_fraction=0.2, seed=seed).datasets["val"].codes["group"].tolist()

    assert held(0) == held(0)
    assert held(0) != held(1)


def test_a_named_split_is_taken_as_it_is(media: Path) -> None:
    data = module(split_off(media, ["train", "val", "test"]))
    assert {n: len(d) for n, d in data.datasets.items()} == {"train": 14, "val": 14, "test": 12}
    assert data.datasets["val"].codes["label"].tolist() == [0, 1] * 7


def test_no_validation_when_none_is_wanted(media: Path) -> None:
    data = module(media, val_fraction=0.0)
    assert len(data.datasets["val"]) == 0
    assert data.val_dataloader() == []


def test_every_loader_has_all_its_samples(media: Path) -> None:
    data = module(split_off(media, ["train", "val", "test"]))
    for loader, count in ((data.val_dataloader(), 14), (data.test_dataloader(), 12)):
        seen = torch.cat([batch.index for batch in loader])
        assert sorted(seen.tolist()) == list(range(count))
    assert sorted(torch.cat([b.index for b in data.predict_dataloader()]).tolist()) == [*range(12)]
    first = [b.index.tolist() for b in data.train_dataloader()]
    assert all(len(batch) == 8 for batch in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 1}, "data.batch_size 1: needs at least 2 to contrast"),
        ({"val_fraction": 1.0}, r"data.val_fraction 1.0: must be in \[0, 1\)"),
        (
            {"augment": {"video": torch.nn.Identity()}},
            "data.augment.video: the space has no such field",
        ),
    ],
)
def test_misuse_is_named(media: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module(media, **options)


def test_unknown_splits_are_refused(media: Path) -> None:
    said = r"row 2: unknown split; 20 rows have 'extra' \(20\). Known are train, val, test"
    with pytest.raises(ManifestError, match=said):
        module(split_off(media, ["train", "extra"]))


def test_nothing_to_train_on_is_refused(media: Path) -> None:
    with pytest.raises(ManifestError, match="no sample is in split train"):
        module(split_off(media, ["test"]))


class Louder(torch.nn.Module):
    """Adds one number, drawn from the generator, to a batch."""

    def forward(
        self, values: torch.Tensor, mask: torch.Tensor | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return values + 1000 * torch.rand((), generator=generator), mask


class Halved(torch.nn.Module):
    """Halves a batch."""

    def forward(
        self, values: torch.Tensor, mask: torch.Tensor | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return values / 2, mask


class Recorder(pl.LightningModule):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[Batch]] = {"train": [], "val": []}

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.seen["train"].append(batch)
        return self.weight

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen["val"].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(data: MediaDataModule) -> Recorder:
    recorder = Recorder()
    trainer = silent_trainer(2)
    trainer.fit(recorder, data)
    return recorder


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_augmentation_changes_training_alone_and_equally_each_run(media: Path) -> None:
    def run() -> Recorder:
        options = {"batch_size": 8, "augment": {"image": Louder()}, "val_fraction": 0.2}
        return fit(MediaDataModule(media, PREPROCESS, **options))  # type: ignore[arg-type]

    first, second = run(), run()
    plain = [batch.values["image"].float().mean().item() for batch in first.seen["val"]]
    changed = [batch.values["image"].mean().item() for batch in first.seen["train"]]
    assert max(plain) < 200 < max(changed)
    assert all(batch.values["image"].dtype == torch.uint8 for batch in first.seen["val"])
    again = [batch.values["image"].mean().item() for batch in second.seen["train"]]
    assert changed == again
    assert len(set(changed)) == len(changed) == 8
    orders = [batch.index.tolist() for batch in first.seen["train"]]
    assert orders[:4] != orders[4:]
    assert sorted(chain(*orders[:4])) == sorted(chain(*orders[4:]))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_several_augmentations_of_a_modality_are_applied_in_their_order(media: Path) -> None:
    def means(augment: object) -> list[float]:
        options = {"batch_size": 8, "augment": {"image": augment}, "val_fraction": 0.0}
        recorder = fit(MediaDataModule(media, PREPROCESS, **options))  # type: ignore[arg-type]
        return [batch.values["image"].mean().item() for batch in recorder.seen["train"]]

    once, twice, turned = means(Louder()), means([Louder(), Halved()]), means([Halved(), Louder()])
    assert twice == pytest.approx([mean / 2 for mean in once], rel=1e-5)
    assert all(a > b for a, b in zip(turned, twice, strict=True))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_file_that_breaks_mid_epoch_is_named_once_and_counted(
    media: Path, capsys: pytest.CaptureFixture
) -> None:
    data = module(media, loading=Loading(cache_mb=0))
    (media.parent / "0.png").write_bytes(b"broken since")
    with pytest.warns(UserWarning, match="left out from here on: .*0.png") as caught:
        recorder = fit(data)
    assert len([w for w in caught if "left out" in str(w.message)]) == 1
    assert "1 files could not be decoded and were left out" in capsys.readouterr().err
    assert all(torch.isfinite(b.values["audio"]).all() for b in recorder.seen["train"])


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_file_that_breaks_mid_epoch_can_stop_the_run(media: Path) -> None:
    data = module(media, loading=Loading(cache_mb=0, on_error="raise"), val_fraction=0.0)
    (media.parent / "0.png").write_bytes(b"broken since")
    with pytest.raises(
        MmembedError, match=r"0.png.* Remove it, or set data.loading.on_error: skip"
    ):
        fit(data)


@pytest.mark.filterwarnings("ignore:.*fork")
def test_workers_give_the_same_batches(media: Path) -> None:
    alone, shared = module(media), module(media, loading=Loading(num_workers=2))
    for one, two in zip(alone.train_dataloader(), shared.train_dataloader(), strict=True):
        assert one.index.tolist() == two.index.tolist()
        assert torch.equal(one.values["audio"], two.values["audio"])
