"""Rows of bf16 are right where bf16 is not: what fp32 contradicts is computed in fp32.

No CPU is trusted to show a fault: an encoder is broken on purpose where autocast is on.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from mmembed.embedding.embed import embed
from mmembed.embedding.engines.ray_worker import Task, Worker
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.encoders import AudioEncoder, ImageEncoder
from mmembed.space.loading import load_space
from mmembed.space.reduced_precision import (
    MOST_BETWEEN,
    ROUNDING,
    PrecisionCheck,
    vector_error,
)
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable, read_errors
from tests.conftest import tiny_encoders
from tests.embedding.conftest import write_picture, write_sound

BATCH = 8


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 pictures (ten batches), and 24 sounds of three padded lengths."""
    folder = tmp_path_factory.mktemp("media")
    for i in range(80):
        write_picture(folder / f"{i:02}.png", i)
    for i in range(24):
        write_sound(folder / f"{i:02}.wav", 0.4 + 0.5 * (i % 3), i)
    return folder


@pytest.fixture
def break_bf16(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Break an encoder where autocast is on: whole batches or one item, from some call on."""

    def broken(
        encoder: type, fault: Callable[[Tensor], Tensor], first: int = 0, length: int | None = None
    ) -> None:
        usual, calls = encoder.forward, []  # type: ignore[attr-defined]

        def forward(self: Any, values: Tensor, mask: Tensor | None = None) -> Tensor:
            features = usual(self, values, mask)
            if not torch.is_autocast_enabled("cpu"):
                return features
            calls.append(0)
            hit = len(calls) > first and length in (None, values.shape[1])
            return fault(features) if hit else features

        monkeypatch.setattr(encoder, "forward", forward)

    return broken


def garbage(features: Tensor) -> Tensor:
    return torch.randn(features.shape, generator=torch.Generator().manual_seed(1))


def one_item(features: Tensor) -> Tensor:
    wrong = features.clone()
    wrong[-1] = features[0] * torch.linspace(-3, 3, features.shape[1])
    return wrong


def one_nan(features: Tensor) -> Tensor:
    wrong = features.clone()
    wrong[-1, 0] = torch.nan
    return wrong


def rows(media: Path, out: Path, space: Path, **options: Any) -> tuple[dict[str, np.ndarray], Any]:
    """Return the vectors by path, and the summary; no file may fail."""
    summary = embed(media, out, space=space, workers=0, batch_size=BATCH, **options)
    assert summary.failed == 0
    table = EmbeddingTable.open(out)
    return dict(zip(table.column("path"), table.vectors, strict=True)), summary


def largest(one: dict[str, np.ndarray], other: dict[str, np.ndarray], ending: str) -> float:
    return max(float(np.abs(one[p] - other[p]).max()) for p in one if p.endswith(ending))


@pytest.fixture(scope="module")
def exact(
    media: Path, tiny_space_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    return rows(media, tmp_path_factory.mktemp("exact") / "out", tiny_space_folder)[0]


@pytest.mark.parametrize("fault", [garbage, one_item, one_nan])
def test_rows_are_those_of_fp32_where_bf16_is_wrong(
    media: Path,
    exact: dict[str, np.ndarray],
    tiny_space_folder: Path,
    tmp_path: Path,
    break_bf16: Callable[..., None],
    capsys: pytest.CaptureFixture,
    fault: Callable[[Tensor], Tensor],
) -> None:
    break_bf16(ImageEncoder, fault)
    vectors, summary = rows(media, tmp_path / "out", tiny_space_folder, precision="bf16")
    assert largest(vectors, exact, ".png") <= 1e-6
    assert 1e-6 < largest(vectors, exact, ".wav") < 0.05  # still in bf16
    said = [line for line in capsys.readouterr().err.splitlines() if "bf16" in line]
    assert len(said) == 1
    assert said[0].startswith("mmembed: warning: bf16 is wrong on this machine for image 3×28×28:")
    assert said[0].endswith("image goes on in fp32")
    assert "80 image vectors were computed in fp32" in str(summary)
    assert "were not compared" not in str(summary)


def test_one_padded_length_that_is_wrong_is_found(
    media: Path,
    exact: dict[str, np.ndarray],
    tiny_space_folder: Path,
    tmp_path: Path,
    break_bf16: Callable[..., None],
) -> None:
    break_bf16(AudioEncoder, garbage, length=8000)
    vectors, summary = rows(media, tmp_path / "out", tiny_space_folder, precision="bf16")
    assert largest(vectors, exact, ".wav") < 0.05
    sounds = {path: vectors[path] for path in vectors if path.endswith(".wav")}
    assert sum(float(np.abs(sounds[p] - exact[p]).max()) <= 1e-6 for p in sounds) >= 8
    assert "for audio 8000:" in str(summary)


def test_a_vector_that_is_not_finite_blames_the_kernel_and_no_file(
    media: Path,
    exact: dict[str, np.ndarray],
    tiny_space_folder: Path,
    tmp_path: Path,
    break_bf16: Callable[..., None],
) -> None:
    break_bf16(ImageEncoder, one_nan, first=5)  # no batch that is compared anyway
    vectors, summary = rows(media, tmp_path / "out", tiny_space_folder, precision="bf16")
    assert len(vectors) == 104
    assert largest(vectors, exact, ".png") < 0.05
    assert "vectors are inf from those in fp32" in str(summary)
    assert "40 image vectors were computed in fp32; 16 before them were not compared" in str(
        summary
    )


def test_garbage_that_hid_at_first_is_found_and_what_was_not_compared_is_said(
    media: Path, tiny_space_folder: Path, tmp_path: Path, break_bf16: Callable[..., None]
) -> None:
    break_bf16(ImageEncoder, garbage, first=4)
    _, summary = rows(media, tmp_path / "out", tiny_space_folder, precision="bf16")
    (note,) = [line for line in str(summary).splitlines() if "bf16" in line]
    assert note.endswith(
        "24 image vectors were computed in fp32; 32 before them were not compared: for them, "
        "embed into another folder in fp32"
    )


def test_a_file_that_is_not_finite_is_still_its_own_fault(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "media"
    for i in range(6):
        write_sound(folder / f"{i}.wav", 0.4, i)
    samples = np.random.default_rng(0).normal(0, 0.1, 3200)
    samples[7] = np.nan
    soundfile.write(folder / "nan.wav", samples, 8000, subtype="FLOAT")
    summary = embed(folder, tmp_path / "out", space=tiny_space_folder, precision="bf16", workers=0)
    assert (summary.embedded, summary.failed) == (6, 1)
    assert read_errors(tmp_path / "out")["path"].to_pylist() == ["nan.wav"]
    assert "wrong on this machine" not in str(summary)


def test_honest_bf16_is_left_alone(
    media: Path, exact: dict[str, np.ndarray], tiny_space_folder: Path, tmp_path: Path
) -> None:
    vectors, summary = rows(media, tmp_path / "out", tiny_space_folder, precision="bf16")
    assert largest(vectors, exact, ".png") > 1e-6
    assert not [line for line in str(summary).splitlines() if "fp32" in line]


def test_a_worker_of_a_cluster_checks_likewise(
    media: Path, tiny_space_folder: Path, tmp_path: Path, break_bf16: Callable[..., None]
) -> None:
    from mmembed.embedding.engines.chunk import Chunk
    from mmembed.embedding.plan.listing import list_source
    from mmembed.paths import place

    break_bf16(ImageEncoder, garbage)
    names = ("space.json", "model.safetensors")
    space = {name: (tiny_space_folder / name).read_bytes() for name in names}
    worker, out = Worker(), tmp_path / "out"
    told = (RowOptions(precision="bf16"), Limits(), Machine(workers=0, batch_size=BATCH))
    worker.load(Task(space, *told, media, out, None))
    listing = list_source(place(media), place(out))
    files = [file for file in listing if file.path.endswith(".png")][:BATCH]
    chunk = Chunk(files, listing.carried([file.row for file in files]))
    kept = [step for step in worker._engine.run([chunk]) if isinstance(step, Chunk)]
    wanted = load_space(tiny_space_folder).encode([media / file.path for file in files])
    given = [kept[0].results[i].vectors[0] for i in range(BATCH)]  # type: ignore[union-attr]
    assert np.abs(np.stack(given) - wanted).max() <= 1e-6
    assert any(note.startswith("bf16 is wrong on this machine") for note in worker.notes())


def test_encode_warns_and_is_right_in_every_call(
    media: Path, tiny_space: Space, break_bf16: Callable[..., None]
) -> None:
    pictures = [media / f"{i:02}.png" for i in range(12)]
    wanted = tiny_space.encode(pictures)
    break_bf16(ImageEncoder, garbage)
    for given, right in ((pictures, wanted), (pictures, wanted), (pictures[0], wanted[0])):
        with pytest.warns(UserWarning, match="bf16 is wrong .* image goes on in fp32"):
            vectors = tiny_space.encode(given, precision="bf16", batch_size=4)
        assert np.abs(vectors - right).max() <= 1e-6


@pytest.mark.parametrize("pooling", ["attention", "mean", "gru"])
@pytest.mark.parametrize("items", [1, 2, 7, 64])
def test_rounding_of_random_encoders_passes(pooling: str, items: int) -> None:
    torch.manual_seed(items)
    space = Space(tiny_encoders(pooling), dim=16).eval()
    check = PrecisionCheck(space.embed_batch, "bf16", pytest.fail)
    values = {
        "image": torch.randint(0, 256, (items, 3, 28, 28), dtype=torch.uint8),
        "audio": torch.randn(items, 4000) * torch.rand(items, 1),
        "video": torch.randint(0, 256, (items, 4, 3, 28, 28), dtype=torch.uint8),
    }
    mask = {"audio": (items, 4000), "video": (items, 4)}
    for modality, some in values.items():
        shape = mask.get(modality)
        check.embed(modality, some, None if shape is None else torch.ones(shape, dtype=torch.bool))
    assert not check.notes()


def test_the_bound_follows_the_distance_between_vectors() -> None:
    unit = torch.nn.functional.normalize(torch.randn(50, 16), dim=1)
    median = float(torch.pdist(unit).median())
    assert vector_error(unit, unit) == (0.0, pytest.approx(0.05 * median))
    assert vector_error(unit[:1], unit[:1]) == (0.0, 0.05)
    close = torch.nn.functional.normalize(unit[:1] + 0.01 * unit, dim=1)
    assert vector_error(close, close)[1] == ROUNDING
    holes = unit.clone()
    holes[3] = torch.nan
    assert vector_error(holes, unit)[0] == float("inf")
    assert vector_error(unit, holes)[0] == 0.0
    assert vector_error(holes[3:4], holes[3:4])[0] == 0.0


def test_the_comparison_costs_two_percent_at_most_in_a_long_run() -> None:
    asked: Counter[str] = Counter()
    unit = np.eye(4, dtype=np.float32)

    def embed_batch(modality: str, values: Tensor, mask: Any, precision: str) -> np.ndarray:
        asked[precision] += 1
        return unit

    check = PrecisionCheck(embed_batch, "bf16", pytest.fail)
    with warnings.catch_warnings():
        for _ in range(5000):
            check.embed("image", torch.zeros(4, 3, 8, 8), None)
    assert asked["fp32"] <= 0.01 * asked["bf16"]
    assert asked["fp32"] >= 5000 // MOST_BETWEEN
    exact_only = PrecisionCheck(embed_batch, "fp32", pytest.fail)
    asked.clear()
    exact_only.embed("image", torch.zeros(4, 3, 8, 8), None)
    assert asked == {"fp32": 1}
