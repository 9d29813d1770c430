"""The page, the JSON and the Markdown: one set of numbers, offline, whatever files are called."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mmembed.evaluation import evaluate
from mmembed.evaluation.retrieval import METRICS
from mmembed.evaluation.tables import number
from mmembed.evaluation.thumbnails import Thumbnail, thumbnail

from .conftest import EVIL

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)


@pytest.fixture(scope="module")
def report(media_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = evaluate(media_dataset, tmp_path_factory.mktemp("report")).report
    assert page is not None
    return page.parent


class Tags(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.addresses = 0, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset")]


def test_markdown_and_page_say_the_numbers_of_the_json(report: Path) -> None:
    found = json.loads((report / "report.json").read_text("utf-8"))
    assert len(found["retrieval"]) == 12
    page = (report / "report.html").read_text("utf-8")
    lines = (report / "report.md").read_text("utf-8").splitlines()
    for row in found["retrieval"]:
        cells = [f"{row['query']} → {row['target']}", str(row["queries"]), str(row["unanswerable"])]
        cells += [number(row[m]) for m in METRICS] + [number(row["chance"]["mAP"])]
        assert f"| {' | '.join(cells)} |" in lines
        assert "".join(f"<td>{c}</td>" for c in cells[1:]) in page
    for row in found["classification"]:
        cells = [row["modality"], row["method"], number(row["accuracy"]), number(row["macro F1"])]
        assert any(line.startswith(f"| {' | '.join(cells)} |") for line in lines)
    for name, text in {**found["protocol"], **found["metrics"]}.items():
        assert f"- {name}: {text}" in lines
    assert found["space"]["fingerprint"] in "\n".join(lines)
    assert {"python", "mmembed", "numpy"} <= set(found["versions"])


def test_page_is_whole_and_loads_nothing(report: Path) -> None:
    page = (report / "report.html").read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.addresses == ["data:,"]
    assert tags.scripts == 3
    assert len(page) < 15e6


def test_names_of_files_and_labels_are_never_markup(report: Path) -> None:
    page = (report / "report.html").read_text("utf-8")
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.png" in page
    assert "<script>alert(2)" not in page
    assert "toy &lt;b&gt;space&lt;/b&gt;" in page


def data_of(report: Path) -> dict[str, Any]:
    page = (report / "report.html").read_text("utf-8")
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    return json.loads(block.group(1))


def test_every_item_is_shown_once_with_its_picture_or_sound(report: Path) -> None:
    data = data_of(report)
    assert len(data["map"]) == 27
    assert len(data["pictures"]) == 27
    assert 0 < len(data["sounds"]) <= 9
    assert all(s.startswith("data:audio/mpeg;base64,") for s in data["sounds"].values())
    assert all(len(p["tsne"]) == len(p["pca"]) == 2 for p in data["map"])


def test_missing_media_is_said_and_the_report_still_comes(
    media_dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    page = evaluate(media_dataset, tmp_path / "report", media=tmp_path / "empty").report
    assert page is not None
    assert "27 files could not be shown" in page.read_text("utf-8")
    assert data_of(page.parent)["pictures"] == {}


def test_a_file_that_is_gone_or_corrupt_has_no_thumbnail(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nonsense" * 9)
    assert thumbnail(broken, "image") == Thumbnail()
    assert thumbnail(tmp_path / "gone.wav", "audio", with_sound=True) == Thumbnail()
    assert thumbnail(broken, "text") == Thumbnail()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium or chrome on this machine to open the report in")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_works_in_a_browser_offline(browser: Any, report: Path, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((report / "report.html").as_uri())
    page.wait_for_selector("#map .nsewdrag", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".matrix:visible").count() == 2
    page.select_option("#metric", "R@5")
    assert page.locator(".matrix:visible figcaption").first.inner_text().startswith("R@5")

    page.select_option("#places", "pca")
    page.select_option("#colour", "modality")
    names = page.evaluate("document.getElementById('map').data.map(trace => trace.name)")
    assert names == ["audio", "image", "video"]
    page.evaluate(
        "document.getElementById('map').emit('plotly_hover', {points: [{customdata: 0}]})"
    )
    assert page.locator("#peek img").evaluate("image => image.src").startswith("data:image/webp")
    page.select_option("#who", "2")

    page.locator("details summary", has_text="image → audio").first.click()
    page.locator("details summary", has_text="audio → image").click()
    page.locator("details[open] button.play").first.click()
    page.wait_for_selector("button.play.on")
    page.close()
    assert said == []
    assert [a for a in asked if not a.startswith(("file:", "data:"))] == []
