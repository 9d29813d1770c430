"""A step that is not finite leaves no trace but its count, and five in a row stop the run."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader

from mmembed.cli.commands import main
from mmembed.data.batch import Batch
from mmembed.encoders import ImageEncoder
from mmembed.errors import MmembedError
from mmembed.preprocess.image import ImagePreprocess
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.training.module import ContrastiveModule
from mmembed.training.nonfinite_steps import SkipNonFiniteSteps

Write = Callable[..., str]
NORM = "space.encoders.image.backbone.bn1.running_var"
CONV = "space.encoders.image.backbone.conv1.0.weight"


def module() -> ContrastiveModule:
    torch.manual_seed(0)
    encoder = ImageEncoder("test_resnet", preprocess=ImagePreprocess(size=16))
    return ContrastiveModule(
        Space({"image": encoder}, dim=8, dropout=0.1), pairs={"image-image": 1}
    )


def batches(count: int) -> DataLoader:
    """``count`` batches of eight pictures of four things."""
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (count, 8, 3, 16, 16), generator=generator)
    made = [
        Batch(
            {"image": some.to(torch.uint8)},
            {"image": None},
            {"image": torch.arange(8)},
            torch.arange(8) // 2,
            torch.full((8,), -1),
            torch.arange(8),
        )
        for some in pictures
    ]
    return DataLoader(made, batch_size=None)  # type: ignore[arg-type]


class Fault(pl.Callback):
    """Breaks the loss, a gradient or a buffer in some batches."""

    def __init__(self, kind: str, at: set[int]) -> None:
        self.kind, self.at = kind, at
        self.states: list[dict[str, Any]] = []  # before each batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, index: int) -> None:
        optimizer = trainer.optimizers[0].state_dict()["state"]
        state = {"weights": pl_module.state_dict(), "optimizer": optimizer}
        self.states.append(copy.deepcopy(state))
        pl_module.broken = self.kind == "loss" and index in self.at

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if trainer.fit_loop.epoch_loop.batch_idx not in self.at:
            return
        if self.kind == "gradient":
            pl_module.get_parameter(CONV).grad[0, 0, 0, 0] = torch.inf
        if self.kind == "buffer":
            pl_module.get_buffer(NORM)[2] = torch.inf


def fit(fault: pl.Callback, count: int = 6, **options: Any) -> tuple[ContrastiveModule, int]:
    """Return a module after one epoch, and how many steps were skipped."""
    trained = module()
    usual = trained.batch_loss

    def loss(batch: Batch) -> Any:
        total, losses = usual(batch)
        return total * (torch.nan if getattr(trained, "broken", False) else 1.0), losses

    trained.batch_loss = loss  # type: ignore[method-assign]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        enable_checkpointing=False,
        callbacks=[fault],
        **quiet,
        **options,
    )
    trainer.fit(trained, batches(count))
    (guard,) = [c for c in trainer.callbacks if isinstance(c, SkipNonFiniteSteps)]
    assert trainer.global_step == count // options.get("accumulate_grad_batches", 1)
    return trained, guard.skipped


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return one == other


@pytest.mark.parametrize("kind", ["loss", "gradient", "buffer"])
@pytest.mark.parametrize(
    "options", [{}, {"gradient_clip_val": 1.0}, {"accumulate_grad_batches": 2}], ids=str
)
def test_a_skipped_step_leaves_everything_as_it_was_and_the_next_trains(
    kind: str, options: dict[str, Any]
) -> None:
    fault = Fault(kind, {2})
    with pytest.warns(UserWarning, match="is skipped: the .*Skipped steps are counted; 5 in"):
        trained, skipped = fit(fault, **options)
    assert skipped == 1
    step = options.get("accumulate_grad_batches", 1)
    assert same(fault.states[2], fault.states[2 + step])
    assert not same(fault.states[2 + step], trained.state_dict())
    assert all(tensor.isfinite().all() for tensor in trained.state_dict().values())


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("loss", "the loss is nan at step 4"),
        ("gradient", f"the gradient of {CONV} is not finite at step 4"),
        ("buffer", f"the buffer {NORM} is not finite at step 4"),
    ],
)
@pytest.mark.filterwarnings("ignore:step 0 is skipped")
def test_five_in_a_row_stop_with_the_tensors_name_and_the_way_out(kind: str, named: str) -> None:
    with pytest.raises(MmembedError) as stopped:
        fit(Fault(kind, {0, 1, 2, 3, 4}), 8)
    assert str(stopped.value) == (
        f"{named}, and the 4 steps before it were skipped as well: lower "
        "model.optimizer.init_args.lr, or train in fp32 (trainer.precision: 32-true)"
    )


@pytest.mark.filterwarnings("ignore:step 0 is skipped")
def test_four_in_a_row_and_one_later_do_not_stop() -> None:
    assert fit(Fault("gradient", {0, 1, 2, 3, 5}), 8)[1] == 5


def test_the_search_for_a_scale_of_fp16_is_not_counted_but_a_gradient_that_never_ends_is() -> None:
    class Overflow(pl.Callback):
        """Gradients that overflow as long as the loss is scaled by more than ``most``."""

        def __init__(self, most: float) -> None:
            self.most = most

        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            if trainer.precision_plugin.scaler.get_scale() > self.most:
                pl_module.get_parameter(CONV).grad.fill_(torch.inf)

    def plugin(scale: float) -> MixedPrecision:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        made = MixedPrecision("16-mixed", "cpu", scaler)
        made.forward_context = lambda: torch.autocast("cpu", enabled=False)  # type: ignore[method-assign]
        return made

    trained, skipped = fit(Overflow(2.0**8), 12, plugins=[plugin(2.0**16)])
    assert skipped == 0
    assert all(tensor.isfinite().all() for tensor in trained.state_dict().values())
    with (
        pytest.warns(UserWarning, match="is skipped"),
        pytest.raises(MmembedError, match="bn1|conv1"),
    ):
        fit(Overflow(0.0), 12, plugins=[plugin(2.0**3)])


def test_weights_are_the_same_with_and_without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Fault("nothing", set())
    guarded, skipped = fit(nothing)
    assert skipped == 0
    monkeypatch.setattr(
        SkipNonFiniteSteps, "on_train_batch_start", pl.Callback.on_train_batch_start
    )
    monkeypatch.setattr(
        SkipNonFiniteSteps, "on_before_optimizer_step", pl.Callback.on_before_optimizer_step
    )
    plain, _ = fit(nothing)
    assert same(dict(guarded.state_dict()), dict(plain.state_dict()))


def test_skipped_steps_are_said_and_kept(
    written: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    usual = ContrastiveModule.batch_loss

    def sometimes(self: ContrastiveModule, batch: Batch) -> Any:
        total, losses = usual(self, batch)
        return total * (torch.nan if self.global_step in (1, 4) else 1), losses

    monkeypatch.setattr(ContrastiveModule, "batch_loss", sometimes)
    path = written(trainer__max_epochs=1)
    with pytest.warns(UserWarning, match="step 1 is skipped: the loss is nan.") as caught:
        assert main(["fit", "-c", path]) == 0
    assert sum("is skipped" in str(w.message) for w in caught) == 1
    said = capsys.readouterr().err
    assert "nan" not in next(line for line in said.splitlines() if line.startswith("epoch 1/1"))
    path = written(trainer__max_epochs=2)
    assert main(["fit", "-c", path, "--ckpt_path", "last"]) == 0
    assert "skipped steps 2" in capsys.readouterr().err.splitlines()[-2]
    assert json.loads(Path("space/space.json").read_text())["training"]["skipped_steps"] == 2
    assert all(tensor.isfinite().all() for tensor in load_space("space").state_dict().values())


def test_an_infinite_constant_and_a_very_large_gradient_are_no_faults() -> None:
    trained = module()
    trained.logit_scale.grad = torch.tensor(3e38)
    trained.space.encoders["image"].register_buffer("hidden", torch.tensor([0.0, -torch.inf]))
    guard = SkipNonFiniteSteps()

    class Trainer:
        global_step, precision_plugin = 0, None
        strategy = type("", (), {"reduce_boolean_decision": staticmethod(lambda bad, all: bad)})

    guard.on_train_batch_start(Trainer(), trained, None, 0)  # type: ignore[arg-type]
    guard.on_before_optimizer_step(Trainer(), trained, None)  # type: ignore[arg-type]
    assert guard.skipped == 0
    assert trained.logit_scale.grad is not None
