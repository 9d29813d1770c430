"""docs/add-an-encoder.md, followed by a stranger to the letter."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from mmembed.encoders import description
from mmembed.space.loading import load_space
from tests.encoders import test_contract as contract
from tests.walk_through import blocks, page, run, write_files

PAGE = page("add-an-encoder.md")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, and media."""
    folder, rng = tmp_path_factory.mktemp("stranger"), np.random.default_rng(0)
    write_files(PAGE, folder)
    (folder / "config.yaml").write_text(blocks(PAGE, "yaml")[0], "utf-8")
    (folder / "media").mkdir()
    for number in range(8):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "media" / f"{number}.png")
        sound = rng.uniform(-0.5, 0.5, 4000)
        soundfile.write(folder / "media" / f"{number}.wav", sound, 8000)
    return folder


def succeed(folder: Path, *words: str) -> str:
    done = run(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_its_test_passes(stranger: Path) -> None:
    assert "2 passed" in succeed(stranger, "pytest", "-q", "mypackage/test_towers.py")


def test_it_trains_and_embeds(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--data.manifest", "media", "--data.batch_size", "4", "--trainer.accelerator", "cpu"]
    succeed(
        stranger, "mmembed", "fit", "--config", "config.yaml", "--trainer.max_epochs", "1", *words
    )
    (shown,) = re.findall(r"^mmembed embed .*$", PAGE, re.MULTILINE)
    command = shown.replace("FOLDER", "media").split()[1:]
    said = succeed(stranger, "mmembed", *command, "--workers", "0")
    assert "16" in said
    monkeypatch.syspath_prepend(str(stranger))
    space = load_space(stranger / "runs" / "space", trust="mypackage")
    assert type(space.encoders["audio"]).__module__ == "mypackage.towers"
    assert space.encode(stranger / "media" / "0.wav").shape == (16,)


@pytest.fixture
def example(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[contract.Example]:
    """The encoder as one of mmembed's own: its row in the table, and the example of its test."""
    monkeypatch.syspath_prepend(str(stranger))
    row, test = blocks(PAGE, "py")
    table = yaml.safe_load("{" + row + "}")
    (name,) = table
    assert table == {name: name}
    there = "mypackage.towers.WaveEncoder"
    monkeypatch.setitem(description.CLASSES, name, there)
    monkeypatch.setitem(description.NAMES, there, name)
    from mypackage.towers import WaveEncoder

    scope: dict[str, Any] = {"WaveEncoder": WaveEncoder}
    exec(test, scope)
    yield scope["EXAMPLES"]["wave"]
    for module in [module for module in sys.modules if module.startswith("mypackage")]:
        del sys.modules[module]


PROMISES = [
    promise
    for promise in vars(contract).values()
    if inspect.isfunction(promise) and "example" in inspect.signature(promise).parameters
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_it_keeps_the_contract(
    promise: Any, example: contract.Example, rng: np.random.Generator
) -> None:
    promise(example, rng)


def test_every_promise_of_the_contract_is_tried() -> None:
    assert len(PROMISES) >= 8
