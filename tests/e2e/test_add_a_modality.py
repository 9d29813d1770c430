"""docs/add-a-modality.md, followed by a stranger to the letter: fit, embed, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmembed.store.table import EmbeddingTable, read_errors
from tests.walk_through import blocks, page, run, write_files

PAGE = page("add-a-modality.md")


def shape(label: str, rng: np.random.Generator) -> np.ndarray:
    points = rng.normal(size=(int(rng.integers(40, 300)), 3))
    if label == "sphere":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    elif label == "cube":
        points /= np.abs(points).max(axis=1, keepdims=True)
    else:
        points *= [1, 0.05, 0.05]
    return points * rng.uniform(0.5, 20) + rng.normal(size=3)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, and point sets of three shapes."""
    folder, rng = tmp_path_factory.mktemp("stranger"), np.random.default_rng(0)
    write_files(PAGE, folder)
    (folder / "shapes.yaml").write_text(blocks(PAGE, "yaml")[0], "utf-8")
    for label in ("sphere", "cube", "rod"):
        (folder / "shapes" / label).mkdir(parents=True)
        for number in range(24):
            np.savetxt(folder / "shapes" / label / f"{number:02}.xyz", shape(label, rng), "%.4f")
    (folder / "shapes" / "cube" / "torn.xyz").write_text("1 2 3\n4 5\n")
    files = sorted((folder / "shapes").glob("*/*.xyz"))
    lines = [f"{file.relative_to(folder).as_posix()},{file.parent.name}" for file in files]
    (folder / "shapes.csv").write_text("\n".join(["points,label", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def walked(stranger: Path) -> list[str]:
    """The outputs of the three commands, as the page shows them."""
    (shown,) = blocks(PAGE, "sh")
    said = []
    for line in shown.splitlines():
        done = run(stranger, *line.removeprefix("$ ").split())
        said.append(done.stdout + done.stderr)
        assert done.returncode == 0, said[-1]
    return said


def test_every_point_set_has_a_vector_and_the_torn_one_an_error(
    stranger: Path, walked: list[str]
) -> None:
    table = EmbeddingTable.open(stranger / "OUT")
    assert set(table.column("modality")) == set(table.column("field")) == {"points"}
    assert len(table) == 72
    (error,) = read_errors(stranger / "OUT").to_pylist()
    assert error["path"] == "shapes/cube/torn.xyz"
    assert error["message"].startswith("has a bad line")


def test_shapes_are_told_apart(stranger: Path, walked: list[str]) -> None:
    report = json.loads((stranger / "REPORT" / "report.json").read_text())
    (direction,) = [
        each
        for each in report["retrieval"]
        if each["query"] == each["target"] == "points" and each["relevance"] == "label"
    ]
    assert direction["metrics"]["mAP"] > 0.7


def test_a_package_that_is_not_trusted_is_named(stranger: Path, walked: list[str]) -> None:
    words = ["mmembed", "embed", "shapes.csv", "OTHER", "--space", "runs/shapes/space"]
    done = run(stranger, *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "points" in done.stderr
    assert "--trust mypoints" in done.stderr
