"""Vectors of an epoch become scores, and a collapse is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmembed.data.batch import Batch
from mmembed.training.validation_metrics import VectorCollector


def batch(label: list[int], group: list[int] | None = None) -> Batch:
    rows = torch.arange(len(label))
    group = [-1] * len(label) if group is None else group
    return Batch(
        rows={"image": rows, "audio": rows},
        label=torch.tensor(label),
        group=torch.tensor(group),
    )


def axes(*numbers: int) -> torch.Tensor:
    return torch.eye(4)[list(numbers)]


def test_scores_go_by_label_where_all_have_one() -> None:
    collector = VectorCollector()
    collector.add({"image": axes(0, 1), "audio": axes(0, 1)}, batch([0, 1]))
    collector.add({"image": axes(1, 0), "audio": axes(1, 1)}, batch([1, 0]))
    scores, _ = collector.finish()
    assert scores["image-audio/R@1"] == pytest.approx((1 + 2 / 3 + 2 / 3 + 1) / 4)
    assert set(scores) >= {"audio-image/mAP", "image/effective_rank", "audio/effective_rank"}


def test_scores_go_by_sample_where_labels_and_groups_lack() -> None:
    collector = VectorCollector()
    for _ in range(2):  # the second batch holds other samples, though its rows start at 0 again
        collector.add({"image": axes(0, 1), "audio": axes(0, 1)}, batch([0, -1]))
    scores, _ = collector.finish()
    assert scores["image-audio/R@1"] == pytest.approx(0.5)  # two tie for each first place


def test_scores_go_by_group_where_labels_lack() -> None:
    collector = VectorCollector()
    collector.add({"image": axes(0, 1), "audio": axes(1, 0)}, batch([0, -1], [5, 5]))
    assert collector.finish()[0]["image-audio/mAP"] == 1.0


def test_each_epoch_starts_anew() -> None:
    collector = VectorCollector()
    collector.add({"image": axes(0, 1)}, batch([0, 1]))
    assert collector.finish()[0]
    assert collector.finish() == ({}, [])


def test_a_collapse_is_named(rng: np.random.Generator) -> None:
    collector = VectorCollector()
    one = torch.tensor([[1.0, 0, 0, 0]]).expand(8, 4)
    noise = torch.tensor(rng.normal(size=(8, 4)), dtype=torch.float32)
    spread = torch.nn.functional.normalize(noise, dim=1)
    collector.add({"image": one, "audio": spread}, batch([0] * 8))
    _, warnings = collector.finish()
    assert len(warnings) == 1
    assert "the image vectors have collapsed: effective rank 1.00" in warnings[0]


def test_two_classes_at_opposite_ends_are_no_collapse() -> None:
    collector = VectorCollector()
    sides = torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]).repeat(4, 1)
    collector.add({"image": sides}, batch([0, 1] * 4))
    scores, warnings = collector.finish()
    assert scores["image/effective_rank"] == pytest.approx(1)
    assert not warnings
