"""Samples with several labels: alike if they share one, in losses, batches and validation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mmembed.cli.commands import main
from mmembed.data.batch import Batch
from mmembed.errors import ConfigError, ManifestError
from mmembed.training.datamodule import Loading, MediaDataModule
from mmembed.training.losses import (
    InfoNCE,
    NormalizedSoftmax,
    PairLoss,
    Relation,
    SigLIP,
    SupervisedContrastive,
)
from mmembed.training.validation_metrics import VectorCollector
from tests.training.test_datamodule import PREPROCESS, media  # noqa: F401

codes = st.lists(st.integers(0, 5), unique=True, max_size=3)


def padded(labels: list[list[int]]) -> torch.Tensor:
    most = max(map(len, labels), default=0)
    return torch.tensor([[*each, *[-1] * (max(1, most) - len(each))] for each in labels])


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


@given(st.lists(codes, min_size=1, max_size=6), st.data())
def test_items_are_alike_that_share_a_label(labels: list[list[int]], data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, len(labels) - 1), min_size=1, max_size=6)
    first, second = data.draw(numbers), data.draw(numbers)
    unknown = torch.full((len(labels),), -1)
    rows = (torch.tensor(first), torch.tensor(second))
    related = Relation.of(rows, padded(labels), unknown)
    expected = [[bool({*labels[a]} & {*labels[b]}) for b in second] for a in first]
    assert related.label.tolist() == expected
    assert not related.group.any()


@pytest.mark.parametrize("loss", [InfoNCE(), SupervisedContrastive(), SigLIP()])
def test_one_label_each_costs_the_same_in_either_form(loss: PairLoss) -> None:
    torch.manual_seed(0)
    a, b, scale = unit(8, 4), unit(8, 4), torch.tensor(5.0)
    rows, group = (torch.arange(8), torch.arange(8)), torch.arange(8)
    label = torch.tensor([0, 1, 2, 0, -1, 1, 3, -1])
    wide = torch.stack([label, torch.full_like(label, -1)], 1)
    plain = Relation.of(rows, label, group)
    several = Relation.of(rows, wide, group)
    assert torch.equal(plain.label, several.label)
    assert torch.equal(loss(a, b, scale, plain), loss(a, b, scale, several))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.lists(codes, min_size=1, max_size=6))
def test_the_labels_of_a_vector_count_equally_in_the_class_loss(
    seed: int, labels: list[list[int]]
) -> None:
    torch.manual_seed(seed)
    loss, vectors = NormalizedSoftmax(6, 5, temperature=0.2), unit(len(labels), 5)
    likely = functional.log_softmax(
        vectors @ functional.normalize(loss.prototypes.detach()).T / 0.2, 1
    )
    terms = [
        -sum(float(row[c]) for c in each) / len(each)
        for row, each in zip(likely, labels, strict=True)
        if each
    ]
    expected = sum(terms) / len(terms) if terms else 0.0
    value = loss(vectors, padded(labels))
    assert value.item() == pytest.approx(expected, abs=1e-5)
    value.backward()
    assert torch.isfinite(loss.prototypes.grad).all()
    first = torch.tensor([each[0] if each else -1 for each in labels])
    assert loss(vectors, first[:, None]).item() == pytest.approx(
        loss(vectors, first).item(), abs=1e-5
    )


def test_a_label_beyond_the_prototypes_is_named_in_either_form() -> None:
    with pytest.raises(ConfigError, match="the manifest has more labels than that"):
        NormalizedSoftmax(3, 4)(unit(2, 4), torch.tensor([[0, 3], [1, -1]]))


def collected(label: torch.Tensor) -> dict[str, float]:
    collector = VectorCollector()
    rows = torch.arange(len(label))
    batch = Batch(
        rows={"image": rows, "audio": rows}, label=label, group=torch.full((len(label),), -1)
    )
    axes = torch.eye(4)
    collector.add({"image": axes[: len(label)], "audio": axes.roll(1, 0)[: len(label)]}, batch)
    return collector.finish()[0]


def test_validation_finds_what_shares_a_label() -> None:
    # the sound at an image's own axis is that of the sample before it
    shared = collected(padded([[0, 1], [1, 2], [2, 3], [3, 0]]))
    assert shared["image-audio/R@1"] == 1.0
    alone = collected(padded([[0], [1], [2], [3]]))
    assert alone["image-audio/R@1"] < 0.5
    assert alone == collected(torch.arange(4))


def test_validation_goes_by_sample_where_one_has_no_label() -> None:
    assert collected(padded([[0, 1], [0], [], [1]])) == collected(torch.tensor([-1, 0, 0, 1]))


def test_batches_of_different_widths_go_together() -> None:
    collector = VectorCollector()
    for labels in ([[0]], [[0, 1, 2]], [[2, 1]]):
        rows = torch.tensor([0])
        batch = Batch(
            rows={"image": rows, "audio": rows}, label=padded(labels), group=torch.tensor([-1])
        )
        collector.add({"image": torch.eye(3)[:1], "audio": torch.eye(3)[:1]}, batch)
    scores, _ = collector.finish()
    assert 0 < scores["image-audio/mAP"] < 1


def tagged(media: Path, suffix: str = ".csv") -> Path:  # noqa: F811
    """The manifest with two labels in every third row."""
    header, *lines = media.read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    for i, row in enumerate(rows):
        row["label"] = f"{row['label']}|c" if i % 3 == 0 else row["label"]
    path = media.with_name(f"tagged{suffix}")
    if suffix == ".jsonl":
        listed = [row | {"label": row["label"].split("|")} for row in rows]
        path.write_text("\n".join(map(json.dumps, listed)))
    else:
        path.write_text("\n".join([header, *(",".join(row.values()) for row in rows)]))
    return path


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_batches_have_the_codes_of_all_labels(
    media: Path,  # noqa: F811
    suffix: str,
    workers: int,
    capsys: pytest.CaptureFixture,
) -> None:
    separator = "|" if suffix == ".csv" else None
    path, loading = tagged(media, suffix), Loading(num_workers=workers)
    data = MediaDataModule(
        path, PREPROCESS, 8, loading=loading, label_separator=separator, val_fraction=0.2
    )
    data.setup()
    assert f"{path}: 14 of 40 labelled rows have several labels" in capsys.readouterr().err
    counts = {1: 0, 2: 0}
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            assert batch.label.shape[0] == len(batch) == len(batch.index)
            for row in batch.label.tolist():
                known = [code for code in row if code >= 0]
                assert known[0] in (0, 1)
                assert known[1:] in ([], [2])
                counts[len(known)] += 1
    assert counts[2] > 0
    assert sum(counts.values()) == 40


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_fit_trains_on_several_labels(
    written: Callable[..., str],
    media: Path,  # noqa: F811
    capsys: pytest.CaptureFixture,
) -> None:
    data = {"manifest": str(tagged(media)), "batch_size": 8, "label_separator": "|"}
    pairs = {"image-audio": 1.0, "image-label": 0.5}
    classes = {"class_path": "NormalizedSoftmax", "init_args": {"classes": 3, "dim": 8}}
    changes: dict[str, Any] = {"model__pairs": pairs, "model__class_loss": classes}
    path = written(data=data, model__loss="SupervisedContrastive", **changes)
    assert main(["fit", "-c", path]) == 0
    assert "14 of 40 labelled rows have several labels" in capsys.readouterr().err
    logged = next(Path("run").rglob("metrics.csv")).read_text()
    assert "train/loss/image-label" in logged
    (last,) = [row for row in [logged.splitlines()[-1]] if row]
    assert not any(math.isnan(float(v)) for v in last.split(",") if v)


def test_a_folder_takes_no_separator(media: Path) -> None:  # noqa: F811
    data = MediaDataModule(media.parent, PREPROCESS, label_separator="|")
    with pytest.raises(ManifestError, match="is a folder; label_separator is for manifests"):
        data.setup()


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_splits_by_other_names_are_trained_on_and_said(
    media: Path,  # noqa: F811
    capsys: pytest.CaptureFixture,
) -> None:
    names = ["Training", " validation", "TEST", "eval"]
    header, *lines = media.read_text().splitlines()
    rows = [f"{line},{names[i // 2 % 4]}" for i, line in enumerate(lines)]
    media.write_text("\n".join([f"{header},split", *rows]))
    data = MediaDataModule(media, PREPROCESS, batch_size=8)
    data.setup()
    assert {n: len(d) for n, d in data.datasets.items()} == {"train": 10, "val": 10, "test": 20}
    said = capsys.readouterr().err
    assert f"{media}: splits: 'Training' (10) read as train; " in said
    assert np.unique(data.datasets["val"].codes["label"]).tolist() == [0, 1]
