"""Names, labels and captions of strangers: text in the terminal, in Markdown and on the page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mmembed.errors.plain_text import CONTROL, plain
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.report.media_files import MediaFiles
from mmembed.evaluation.report.write import write_report
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.space_geometry import pca_map
from mmembed.evaluation.tables import markdown, print_tables

from ...errors.test_plain_text import ANYTHING, EVIL
from ..conftest import dataset
from .pages import data_of

MODALITIES = ("image", "text")
CARRIED = ("label", "group", "split", "caption")
GENTLE = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def judged(root: Path, names: list[str], space: str, against: str = "") -> Evaluation:
    """Evaluate rows whose path, label, group and caption hold names; all else is the same."""
    rng = np.random.default_rng(0)
    names = [name.encode("utf-8", "replace").decode() for name in names]  # all that Parquet holds
    rows = []
    for i in range(12):
        name = names[i // 2 % len(names)]
        row = {"path": f"{i:02d} {name}", "modality": MODALITIES[i % 2], "caption": f"{i} {name}"}
        rows.append(row | {"label": f"{i // 2 % 3} {names[i // 2 % 3 % len(names)]}."})
        rows[-1]["group"] = f"{i // 2} {name}."  # blanks at an end would be a fault of the data
    rows[0]["label"] = None  # a fault that names its path
    here = dataset(root / "here", rows, rng.normal(size=(12, 4)), "", CARRIED)
    other = root / (against or "other")
    dataset(other, rows, rng.normal(size=(12, 4)), "", CARRIED)
    evaluation = evaluate(here, against=other, fail_under="label:image-text/mAP=1.01")
    return replace(evaluation, provenance=replace(evaluation.provenance, space=f"s {space}"))


class Structure(HTMLParser):
    """Counts the elements of a page, each with the names of its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ...]] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[(tag, *(name for name, _ in attrs))] += 1


def outline(text: str) -> list[tuple[str, int]]:
    """Return the kinds of tokens of a Markdown text, but for the text in them."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inside = [child for token in tokens for child in token.children or []]
    kinds = [(token.type, token.level) for token in (*tokens, *inside)]
    return [kind for kind in kinds if kind[0] not in ("text", "text_special")]


@pytest.fixture(scope="module", autouse=True)
def light_pages() -> Iterator[None]:
    """Leave Plotly's own script, which is large, out of the pages, and t-SNE, which is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmembed.evaluation.report.write.get_plotlyjs", lambda: "")
        patch.setattr("mmembed.evaluation.report.charts.tsne_map", pca_map)
        yield


@pytest.fixture(scope="module")
def benign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    root = tmp_path_factory.mktemp("benign")
    evaluation = judged(root, ["x"], "x")
    write_report(evaluation, root / "report", MediaFiles())
    return evaluation, root / "report"


@GENTLE
@given(st.lists(ANYTHING, min_size=1, max_size=3), ANYTHING)
def test_names_are_text_in_the_terminal_and_in_markdown(
    benign: tuple[Evaluation, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    names: list[str],
    space: str,
) -> None:
    evaluation = judged(tmp_path, names, space)
    capsys.readouterr()
    print_tables(evaluation)
    lines = capsys.readouterr().out.split("\n")
    assert not any(CONTROL.search(line) for line in lines)
    assert outline(markdown(evaluation.to_dict())) == outline(markdown(benign[0].to_dict()))


@settings(GENTLE, max_examples=10)
@given(st.lists(ANYTHING, min_size=1, max_size=3), ANYTHING)
def test_names_are_text_on_the_page(
    benign: tuple[Evaluation, Path], tmp_path: Path, names: list[str], space: str
) -> None:
    report = write_report(judged(tmp_path, names, space), tmp_path / "r", MediaFiles()).parent
    assert_only_text(report, benign[1])


def test_each_evil_name_is_text_on_the_page(
    benign: tuple[Evaluation, Path], tmp_path: Path
) -> None:
    for start in range(0, len(EVIL), 3):
        evaluation = judged(tmp_path, list(EVIL[start : start + 3]), EVIL[start])
        report = write_report(evaluation, tmp_path / "r", MediaFiles()).parent
        assert_only_text(report, benign[1])


def assert_only_text(report: Path, benign: Path) -> None:
    page, plain_page = ((at / "report.html").read_text("utf-8") for at in (report, benign))
    assert Structure(page).found == Structure(plain_page).found
    assert not CONTROL.search(page.replace("\n", ""))
    shown = data_of(report, "charts")["items"].values()
    assert all(plain(item["path"]) == item["path"] for item in shown)
    numbers = (report / "report.json").read_text("utf-8")
    assert not CONTROL.search(numbers.replace("\n", ""))
    assert json.loads(numbers)["format"] == "mmembed-report/1"


def test_names_in_json_are_what_they_are(tmp_path: Path) -> None:
    space = "caf\udce9 \x9b31m \u202e日本"
    report = write_report(judged(tmp_path, ["x"], space), tmp_path / "r", MediaFiles()).parent
    text = (report / "report.json").read_text("utf-8")
    assert "日本" in text
    assert json.loads(text)["space"]["name"] == f"s {space}"


def test_a_dataset_beside_it_with_markup_in_its_name_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    evaluation = judged(tmp_path, ["[/x]"], "[/bold]", against="[/x] [red]")
    print_tables(evaluation)
    said: Any = capsys.readouterr().out
    assert "[/x] [red]" in "".join(said.split("\n"))
    assert "s [/bold]" in said
