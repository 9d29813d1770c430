"""docs/add-a-metric.md, followed to the letter in a copy: the metric is everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.evaluation.conftest import dataset, digits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-metric.md").read_text("utf-8")
METRICS = "mmembed/evaluation/retrieval/metrics.py"
CONFTEST = """
import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
"""


def block(opening: str) -> str:
    """The code block of the page that begins with some words."""
    texts = re.findall(r"```(?:py|python)?\n(.*?)```", PAGE, re.DOTALL)
    (text,) = [each for each in texts if each.lstrip().startswith(opening)]
    return text


def files() -> dict[str, str]:
    """The files that the page shows whole, by the path that each opens with."""
    texts = [block(f"# {path}") for path in re.findall(r"^# (\S+\.py)$", PAGE, re.MULTILINE)]
    return {text.split("\n", 1)[0][2:]: text.split("\n", 1)[1] for text in texts}


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the metric that the page adds, and the tests of all metrics."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "mmembed", root / "mmembed")
    for name in ("docs/evaluate.md", "tests/evaluation/retrieval/test_metrics.py"):
        (root / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, root / name)
    (root / "conftest.py").write_text(CONFTEST, "utf-8")
    shown = files()
    assert len(shown) == 2
    for name, text in shown.items():
        (root / name).write_text(text, "utf-8")
    module = next(iter(shown))
    function = f"from {module.removesuffix('.py').replace('/', '.')} import {Path(module).stem}\n"
    above = "from mmembed.evaluation.retrieval.ties import Ties\n"
    replaced(root / METRICS, above, function + above)
    row = textwrap.indent(block("Metric(").rstrip(), "    ")
    replaced(root / METRICS, "\n)\nBY_NAME", f"\n{row},\n)\nBY_NAME")
    line = re.search(r"^\| RBP \|.*\n", PAGE, re.MULTILINE)
    assert line is not None
    text = (root / "docs" / "evaluate.md").read_text("utf-8")
    last = next(each for each in text.splitlines(keepends=True) if each.startswith("| nAUC |"))
    replaced(root / "docs" / "evaluate.md", last, last + line.group())
    return root


def run(copy: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )


def test_its_test_and_those_of_all_metrics_pass(copy: Path) -> None:
    words = ["pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "tests"]
    done = run(copy, words)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"(\d+) passed", done.stdout)
    assert counted is not None
    assert int(counted.group(1)) > 100  # those of pytrec_eval alone are 100


def test_every_output_shows_it_and_bounds_may_ask_for_it(copy: Path, tmp_path: Path) -> None:
    rows, vectors = digits("test", 12, np.random.default_rng(0))
    data = dataset(tmp_path / "data", rows, vectors)
    other = dataset(tmp_path / "other", rows, vectors[:, :5])
    words = ["mmembed", "evaluate", str(data), str(other), "--report", str(tmp_path / "report")]
    done = run(copy, [*words, "--fail-under", "*/RBP=0.001, label:image-audio/rbp=2"])
    assert done.returncode == 1, done.stderr
    assert "label:image-audio/RBP is " in done.stderr
    saved = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert saved["metrics"]["RBP"].startswith("rank-biased precision")
    for row in saved["retrieval"]:
        low, high = row["intervals"]["RBP"]
        assert low <= row["metrics"]["RBP"] <= high
        assert 0 < row["chance"]["RBP"] < 1
    assert {c["metric"] for c in saved["comparison"]["changes"]} >= {"RBP", "mAP"}
    queries = pq.read_table(tmp_path / "report" / "queries.parquet")
    assert queries["RBP"].null_count == 0
    markdown = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "- RBP: rank-biased precision" in markdown
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "<b>RBP</b>, relevant by label:" in page


def test_the_fields_that_the_page_names_are_those_of_ties() -> None:
    from mmembed.evaluation.retrieval.ties import Ties

    start = PAGE.index("| field | what it holds |")
    table = PAGE[start:].split("\n\n")[0].splitlines()[2:]
    cells = [line.split("|")[1] for line in table]
    named = {name for cell in cells for name in re.findall(r"`(\w+)(?:\(values\))?`", cell)}
    public = {n for n in [*vars(Ties), *Ties.__dataclass_fields__] if not n.startswith("_")}
    assert named == public - {"ideal"}
