"""Runs that Ctrl-C or SIGTERM stops: one line, the right exit code, and a way to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from mmembed.cli.commands import main, terminated_by_signal
from mmembed.errors import Terminated
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from tests.conftest import default_signals

Write = Callable[..., str]
MODULE = "mmembed.training.module.ContrastiveModule"


@contextmanager
def started(job: str, config: str, until: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A job in a process of its own, as soon as it has said a line that starts with ``until``."""
    command = [sys.executable, "-m", "mmembed", job, "-c", config, *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=default_signals
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(until):
            break
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_ctrl_c_stops_a_run_with_one_line(written: Write) -> None:
    path = written(trainer__max_epochs=100_000, data__val_fraction=0.0)
    with started("fit", path, "epoch 2/") as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("mmembed: stopped\n")
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_stops_fit_and_the_same_run_goes_on(written: Write, workers: int) -> None:
    path = written(trainer__max_epochs=1)
    assert main(["fit", "-c", path]) == 0
    older = files("space")
    for checkpoint in Path("run").rglob("*.ckpt"):
        checkpoint.unlink()
    path = written(trainer__max_epochs=100_000, data__loading__num_workers=workers)
    with started("fit", path, "epoch 2/") as process:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    *epochs, last = said.splitlines()
    if not workers:  # data workers may complain of the connection that is gone
        assert all(line.startswith("epoch ") for line in epochs)
    assert last.startswith("mmembed: stopped by SIGTERM: --ckpt-path last goes on from run/log/")
    assert Path(last.split(" from ")[1]).is_file()
    assert files("space") == older
    done = torch.load(last.split(" from ")[1], weights_only=True)["epoch"] + 1
    path = written(trainer__max_epochs=done + 1)
    assert main(["fit", "-c", path, "--ckpt_path", "last"]) == 0
    assert files("space") != older


def test_sigterm_before_an_epoch_is_finished_says_that_there_is_nothing_to_go_on_from(
    written: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(f"{MODULE}.training_step", _terminated)
    assert main(["fit", "-c", written()]) == 143
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("SIGTERM: no epoch was finished, so there is no checkpoint to go on from")
    assert not Path("space").exists()


def test_sigterm_names_a_checkpoint_that_last_does_not_find(
    written: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    keep = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": "kept", "filename": "a", "save_on_train_epoch_end": True},
    }
    monkeypatch.setattr(f"{MODULE}.on_train_epoch_start", _terminated_in_epoch_1, raising=False)
    assert main(["fit", "-c", written(trainer__callbacks=[keep])]) == 143
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "mmembed: stopped by SIGTERM: --ckpt-path kept/a.ckpt goes on"


@pytest.mark.parametrize(
    ("job", "step"),
    [("validate", "validation_step"), ("test", "test_step"), ("predict", "setup")],
)
def test_sigterm_stops_the_other_jobs_with_one_line(
    written: Write,
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    job: str,
    step: str,
) -> None:
    names = [path.with_suffix("") for path in sorted(media.rglob("*.png"))]
    splits = ("train", "train", "val", "test")
    rows = [f"{n}.png,{n}.wav,{splits[i % 4]}" for i, n in enumerate(names)]
    Path("manifest.csv").write_text("\n".join(["image,audio,split", *rows]))
    monkeypatch.setattr(f"{MODULE}.{step}", _terminated)
    assert main([job, "-c", written(data__manifest="manifest.csv")]) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "mmembed: stopped by SIGTERM"


def test_sigterm_while_the_space_is_saved_waits_until_it_is_whole(
    written: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    saved = Space.save

    def disturbed(self: Space, *given: Any) -> Path:
        os.kill(os.getpid(), signal.SIGTERM)
        return saved(self, *given)

    monkeypatch.setattr(Space, "save", disturbed)
    assert main(["fit", "-c", written(trainer__max_epochs=1)]) == 143
    assert capsys.readouterr().err.splitlines()[-1].startswith("mmembed: stopped by SIGTERM")
    assert load_space("space").modalities == ("image", "audio")


def test_a_sigterm_that_something_swallows_still_ends_the_job() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def swallowed() -> None:
        with terminated_by_signal(), suppress(BaseException):
            _terminated()

    def replaced() -> None:
        with terminated_by_signal():
            try:
                _terminated()
            finally:
                raise RuntimeError("a data worker was killed as well")

    for job in (swallowed, replaced):
        with pytest.raises(Terminated):
            job()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_sigterm_that_is_ignored_or_handled_is_left_so(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[int] = []
    for handler in (signal.SIG_IGN, lambda number, _: arrived.append(number)):
        before = signal.signal(signal.SIGTERM, handler)
        try:
            with terminated_by_signal():
                os.kill(os.getpid(), signal.SIGTERM)
        finally:
            signal.signal(signal.SIGTERM, before)
    assert arrived == [signal.SIGTERM]


def _terminated(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _terminated_in_epoch_1(self: Any) -> None:
    if self.current_epoch == 1:
        _terminated()
