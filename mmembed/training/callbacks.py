"""Callbacks of a training run: the space is saved at its end, and a line is printed an epoch."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch

from mmembed.errors import MmembedError, Terminated
from mmembed.errors.plain_text import say
from mmembed.paths import shown
from mmembed.training.nonfinite_steps import skipped_steps

LINE_SECONDS = 60.0


class SaveSpace(pl.Callback):
    """Writes the trained space (``model.safetensors`` + ``space.json``) when ``fit`` ends.

    Args:
        folder: where to; a space already there is replaced.
        weights: ``last`` are those at the end, ``best`` those of the checkpoint callback's best
            score.
    """

    def __init__(
        self, folder: str | os.PathLike, weights: Literal["last", "best"] = "last"
    ) -> None:
        self.folder, self.weights = Path(folder), weights
        self._began = time.time()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a space that can't be saved, before it is trained in vain."""
        module: Any = pl_module
        module.space.describe()

    @torch.no_grad()
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the space."""
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if self.weights == "best":
            if not best:
                raise MmembedError(
                    "SaveSpace: weights is best, but no ModelCheckpoint kept a best one"
                )
            pl_module.load_state_dict(torch.load(best, weights_only=True)["state_dict"])
        training: dict[str, Any] = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "manifest": shown(getattr(trainer.datamodule, "manifest", "")),  # type: ignore[attr-defined]
            "weights": self.weights,
        }
        if skipped := skipped_steps(trainer):
            training["skipped_steps"] = skipped
        module: Any = pl_module
        if module.mixed_precision.disagreement:
            training["computed_in_fp32"] = module.mixed_precision.disagreement
        with undisturbed():
            module.space.save(self.folder, training)
        say(f"space: {self.folder} ({module.space.fingerprint[:8]})", sys.stderr)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Say how a run that SIGTERM stopped goes on."""
        if isinstance(exception, Terminated) and trainer.state.fn == "fit":
            _say_how_to_go_on(exception, trainer, self._began)


def _say_how_to_go_on(stop: Terminated, trainer: pl.Trainer, began: float) -> None:
    """Name the newest checkpoint of a run, for the option that goes on from it."""
    folders = {Path(c.dirpath) for c in trainer.checkpoint_callbacks if getattr(c, "dirpath", "")}  # type: ignore[attr-defined]
    kept = [path for folder in folders for path in folder.glob("*.ckpt")]
    ours = [path for path in kept if path.stat().st_mtime >= began]
    if not ours and not trainer.ckpt_path:
        stop.sentence = "no epoch was finished, so there is no checkpoint to go on from"
        return
    stop.option, stop.value, stop.sentence = "ckpt_path", trainer.ckpt_path, "goes on"
    if ours:
        newest = max(ours, key=lambda path: path.stat().st_mtime_ns)
        stop.value = os.path.relpath(newest)
        if Path(trainer.default_root_dir).resolve() in newest.resolve().parents:
            stop.value, stop.sentence = "last", f"goes on from {stop.value}"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    usual: dict[int, Any] = {
        number: signal.signal(number, lambda given, _: arrived.append(given))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for each, handler in usual.items():
            signal.signal(each, handler)
        if arrived:
            signal.raise_signal(arrived[0])


class EpochLines(pl.Callback):
    """Prints a line an epoch: loss, validation score, speed and time left.

    Where an epoch is long and no progress bar shows, there is a line every
    :data:`LINE_SECONDS` too.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._began = self._said = time.monotonic()
        self._first = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Print a line now and then within an epoch."""
        due = time.monotonic() - self._said >= LINE_SECONDS
        if due and trainer.progress_bar_callback is None and not trainer.is_last_batch:
            done = trainer.fit_loop.epoch_loop.batch_idx + 1
            self._print(trainer, f"batch {done:,} of {trainer.num_training_batches:,}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of this epoch."""
        self._print(trainer)

    def _print(self, trainer: pl.Trainer, where: str = "") -> None:
        if not trainer.is_global_zero:
            return
        seen: dict[str, Any] = trainer.callback_metrics
        self._said = time.monotonic()
        spent = self._said - self._began
        done = trainer.global_step - self._first
        limit = trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None
        parts = [f"epoch {trainer.current_epoch + 1}" + (f"/{limit}" if limit else ""), where]
        parts += [f"{n} {float(seen[n]):.3f}" for n in ("train/loss", "val/mAP") if n in seen]
        parts.append(f"{spent:.0f} s")
        if skipped := skipped_steps(trainer):
            parts.append(f"skipped steps {skipped:,}")
        if limit and done:
            left = spent / done * (trainer.estimated_stepping_batches - trainer.global_step)
            parts.append(f"{left:.0f} s left")
        say("  ".join(part for part in parts if part), sys.stderr)
