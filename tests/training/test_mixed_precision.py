"""Training in mixed precision goes on in fp32 where a kernel is wrong, and only there.

No CPU is trusted to show a fault: an encoder is broken on purpose where autocast is on.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmembed.cli.commands import main
from mmembed.data.batch import Batch
from mmembed.encoders import AudioEncoder, ImageEncoder
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.training.losses import InfoNCE
from mmembed.training.mixed_precision import AGAIN, MixedPrecision
from mmembed.training.module import ContrastiveModule
from tests.conftest import tiny_encoders

Write = Callable[..., str]
LINE = "mixed precision is wrong on this machine for audio [0-9]+: {} are .* everything goes on in"


def garbage(features: Tensor) -> Tensor:
    """Features as a broken kernel might return them: rows of one item in three are not its own."""
    return torch.where(
        torch.arange(len(features))[:, None] % 3 == 1, features.flip(0) * 7, features
    )


class WrongGradient(torch.autograd.Function):
    """The identity, whose gradient is garbage."""

    @staticmethod
    def forward(context: Any, features: Tensor) -> Tensor:
        return features.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient.roll(1, 0) * 3


def infinite_buffer(encoder: AudioEncoder) -> None:
    running = next(b for n, b in encoder.named_buffers() if n.endswith("running_var"))
    running.data[0] = torch.inf


@pytest.fixture(autouse=True)
def processor_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmembed.cli.fit.has_bf16", lambda: True)


@pytest.fixture
def break_sounds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Break the audio encoder under autocast; return the list of lengths that came under it."""
    usual = AudioEncoder.forward

    def broken(fault: str, length: int | None = None, first: int = 0) -> list[int]:
        lengths: list[int] = []

        def forward(self: AudioEncoder, values: Tensor, mask: Tensor | None = None) -> Tensor:
            features = usual(self, values, mask)
            if not torch.is_autocast_enabled("cpu"):
                return features
            lengths.append(values.shape[1])
            if len(lengths) <= first or length not in (None, values.shape[1]):
                return features
            if fault == "vectors":
                return garbage(features)
            if fault == "nan":
                return features * torch.nan
            if fault == "gradients":
                return WrongGradient.apply(features)
            if fault == "buffers":
                infinite_buffer(self)
            return features

        monkeypatch.setattr(AudioEncoder, "forward", forward)
        return lengths

    return broken


def fingerprint(path: str, *words: str) -> str:
    assert main(["fit", "-c", path, *words]) == 0
    return load_space("space").fingerprint


@pytest.mark.parametrize("fault", ["vectors", "gradients", "buffers"])
def test_a_broken_kernel_is_said_once_and_the_run_is_that_of_fp32(
    written: Write, break_sounds: Callable[..., list[int]], fault: str
) -> None:
    exact = fingerprint(written(trainer__max_epochs=1))
    lengths = break_sounds(fault)
    path = written(trainer__precision="bf16-mixed", trainer__num_sanity_val_steps=0)
    with pytest.warns(UserWarning, match=LINE.format(fault)) as caught:
        assert fingerprint(path) == exact
    assert sum("goes on in fp32" in str(w.message) for w in caught) == 1
    assert len(lengths) == 1
    training = json.loads(Path("space/space.json").read_text())["training"]
    assert training["computed_in_fp32"].startswith("mixed precision is wrong on this machine")
    assert "skipped_steps" not in training


def test_one_broken_padded_length_is_found_when_it_comes(
    written: Write, break_sounds: Callable[..., list[int]]
) -> None:
    path = written(trainer__precision="bf16-mixed", data__val_fraction=0.0)
    lengths = break_sounds("none")
    fingerprint(path)
    last = next(length for length in reversed(lengths) if lengths.index(length) > 0)
    lengths = break_sounds("vectors", last)
    with pytest.warns(UserWarning, match=LINE.format("vectors")) as caught:
        fingerprint(path)
    assert any(f"for audio {last}:" in str(w.message) for w in caught)
    assert lengths.index(last) == len(lengths) - 1 > 0


def test_honest_bf16_passes_and_is_not_changed_by_the_comparison(
    written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(trainer__precision="bf16-mixed")
    with warnings.catch_warnings(record=True) as caught:
        compared = fingerprint(path)
    assert not [w for w in caught if "mixed precision" in str(w.message)]
    assert "computed_in_fp32" not in json.loads(Path("space/space.json").read_text())["training"]
    with monkeypatch.context() as patched:
        patched.setattr(MixedPrecision, "_is_due", lambda *_: False)
        assert fingerprint(path) == compared
    assert fingerprint(written(trainer__precision="32-true")) != compared


def test_a_fault_that_hid_at_first_is_found_when_the_shape_is_compared_again(
    written: Write, break_sounds: Callable[..., list[int]]
) -> None:
    break_sounds("vectors", first=12)
    path = written(trainer__precision="bf16-mixed", trainer__max_epochs=8)
    with pytest.warns(UserWarning, match=LINE.format("vectors")):
        fingerprint(path)


def test_a_skipped_step_has_every_shape_compared_again(
    written: Write, break_sounds: Callable[..., list[int]]
) -> None:
    break_sounds("buffers", first=8)
    path = written(trainer__precision="bf16-mixed", trainer__max_epochs=3)
    with pytest.warns(UserWarning, match="is skipped: the buffer .*running_var is not") as caught:
        fingerprint(path)
    assert any("buffers are inf" in str(w.message) for w in caught)
    assert json.loads(Path("space/space.json").read_text())["training"]["skipped_steps"] == 1
    assert all(tensor.isfinite().all() for tensor in load_space("space").state_dict().values())


def test_a_resumed_run_goes_on_in_fp32_without_another_word(
    written: Write, break_sounds: Callable[..., list[int]]
) -> None:
    lengths = break_sounds("vectors")
    with pytest.warns(UserWarning, match=LINE.format("vectors")):
        fingerprint(written(trainer__precision="bf16-mixed", trainer__max_epochs=1))
    del lengths[:]
    with warnings.catch_warnings(record=True) as caught:
        fingerprint(written(trainer__max_epochs=2), "--ckpt_path", "last")
    assert not [w for w in caught if "mixed precision" in str(w.message)]
    assert not lengths
    assert "computed_in_fp32" in json.loads(Path("space/space.json").read_text())["training"]


@pytest.mark.parametrize("fault", ["vectors", "nan"])
def test_validate_scores_what_fp32_scores(
    written: Write,
    break_sounds: Callable[..., list[int]],
    capsys: pytest.CaptureFixture,
    fault: str,
) -> None:
    fingerprint(written(trainer__max_epochs=1))

    def scores(precision: str) -> list[str]:
        path = written(trainer__precision=precision)
        assert main(["validate", "-c", path, "--ckpt_path", "last"]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if "val/" in line]

    exact = scores("32-true")
    break_sounds(fault)
    with pytest.warns(UserWarning, match="mixed precision is wrong .* vectors are"):
        assert scores("bf16-mixed") == exact


def test_an_evaluation_batch_that_is_not_finite_is_computed_again(monkeypatch: Any) -> None:
    torch.manual_seed(0)
    space = Space({"image": tiny_encoders()["image"]}, dim=8).eval()
    mixed, usual, calls = MixedPrecision(space), ImageEncoder.forward, []

    def forward(self: Any, values: Tensor, mask: Tensor | None = None) -> Tensor:
        calls.append(torch.is_autocast_enabled("cpu"))
        return usual(self, values, mask) * (torch.nan if calls[-1] and len(calls) > 3 else 1)

    monkeypatch.setattr(ImageEncoder, "forward", forward)
    values = torch.randint(0, 256, (6, 3, 28, 28), dtype=torch.uint8)
    batch = Batch({"image": values}, {"image": None})
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        mixed.embed(batch)
        assert calls == [True, False, True]
        with pytest.warns(UserWarning, match="vectors are inf from those in fp32"):
            vectors = mixed.embed(batch)["image"]
    with torch.inference_mode():
        assert torch.equal(vectors, space.embed("image", values))


@pytest.mark.parametrize("pooling", ["attention", "mean", "gru"])
@pytest.mark.parametrize("items", [2, 3, 6, 40])
def test_rounding_of_every_encoder_passes_and_leaves_no_trace(pooling: str, items: int) -> None:
    torch.manual_seed(items)
    space = Space(tiny_encoders(pooling), dim=8, dropout=0.2)
    module = ContrastiveModule(space, InfoNCE())
    noise = torch.randn(items, 1) * torch.sin(torch.arange(4000) * (0.1 + torch.rand(items, 1)))
    values = {
        "image": torch.randint(0, 256, (items, 3, 28, 28), dtype=torch.uint8),
        "audio": noise + 0.1 * torch.randn(items, 4000),
        "video": torch.randint(0, 256, (items, 4, 3, 28, 28), dtype=torch.uint8),
    }
    mask = {
        "image": None,
        "audio": torch.ones(items, 4000, dtype=torch.bool),
        "video": torch.ones(items, 4, dtype=torch.bool),
    }
    before = {name: tensor.clone() for name, tensor in space.state_dict().items()}
    drawn = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with torch.autocast("cpu", torch.bfloat16):
            for modality in values:
                module.mixed_precision._compare(modality, values[modality], mask[modality])
    assert not module.mixed_precision.disagreement
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(before[name], now) for name, now in space.state_dict().items())
    assert all(parameter.grad is None for parameter in space.parameters())
    assert space.projections["image"].layers[1].p == 0.2


def test_the_comparison_costs_little() -> None:
    space = Space({"image": tiny_encoders()["image"]}, dim=8)
    mixed, values = MixedPrecision(space), torch.zeros(4, 3, 28, 28, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        due = [number for number in range(1, 1001) if mixed._is_due("image", values)]
    assert due == [AGAIN**i for i in range(5)]


def test_a_processor_without_bf16_trains_in_fp32_and_says_so(
    written: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mmembed.cli.fit.has_bf16", lambda: False)
    exact = fingerprint(written(trainer__max_epochs=1))
    assert "no bf16" not in capsys.readouterr().err
    assert fingerprint(written(trainer__precision="bf16-mixed", trainer__max_epochs=1)) == exact
    assert "this processor has no bf16; training in fp32 instead" in capsys.readouterr().err
