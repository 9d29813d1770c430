"""Datasets, and ways to read a page, that the tests of the report share."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from ..conftest import CARRIED, EVIL, WRITERS, Row, dataset

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
EVIL_LABEL = "</script><script>alert(2)</script>"
EVIL_WORDS = '<img src=x onerror=alert(3)> & a dog\'s "bark"'
EVIL_GROUP = "<svg onload=alert(4)>"
MODALITIES = {"image": "png", "audio": "wav", "video": "mp4", "text": "txt"}

# Scripts for a browser: what is shown; controls without a name; text that is hard to read.
VISIBLE = "el => el.checkVisibility({visibilityProperty: true})"

NAMELESS = f"""() => [...document.querySelectorAll(
  'a[href], button, select, input, summary, [tabindex="0"], [role="img"]')].filter({VISIBLE})
  .filter(el => !(el.ariaLabel || el.textContent.trim() && el.tagName !== 'SELECT'
    || [...(el.labels || [])].some(label => label.innerText.trim()))).map(el => el.outerHTML)"""

CONTRASTS = """() => {
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
  const behind = el => {
    const layers = [];
    for (let at = el; at; at = at.parentElement)
      layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const el = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || el.closest('svg, script, option, .sr, .skip')) continue;
    if (!el.checkVisibility({visibilityProperty: true})) continue;
    const under = behind(el);
    const [a, b] = [light(over(parse(getComputedStyle(el).color), under)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5)
      found.push([ratio.toFixed(2), el.tagName, el.className, walk.currentNode.data]);
  }
  return found;
}"""


def stored(folder: Path, rows: Sequence[Row], vectors: np.ndarray, source: Path) -> Path:
    """Write a dataset whose rows may have captions and spans; return the folder."""
    return dataset(folder, rows, vectors, str(source), (*CARRIED, "caption"))


def four_media(root: Path, count: int = 9, labels: int = 3, noise: float = 0.7) -> Path:
    """Write media of four modalities, one of each a group, and a dataset of them.

    Some paths, labels, groups and captions are markup.
    """
    rng, centres = np.random.default_rng(3), np.random.default_rng(5).normal(size=(labels, 8))
    rows, vectors = [], []
    for i in range(count):
        for modality, suffix in MODALITIES.items():
            row: Row = {"path": f"{modality}/{i:02d}.{suffix}", "modality": modality}
            row |= {"label": f"class {i % labels}", "group": f"pair {i}", "split": "test"}
            row["caption"] = f"a sound of kind {i % labels}, number {i}"
            rows.append(row)
            vectors.append(centres[i % labels] + noise * rng.normal(size=8))
    rows[0]["path"] = EVIL
    for row in rows[:4]:
        row["group"] = EVIL_GROUP
    rows[1]["label"] = rows[2]["label"] = EVIL_LABEL
    rows[3]["caption"] = EVIL_WORDS
    for row in rows:
        if row["modality"] != "text":
            path = root / row["path"]
            path.parent.mkdir(exist_ok=True, parents=True)
            WRITERS[row["modality"]](path, rng)
    return stored(root / "embeddings", rows, np.array(vectors), root)


class Reader(HTMLParser):
    """Collects what a page would load or run, and the text of its tables."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.addresses, self.handlers = 0, list[str](), list[str]()
        self.tags: dict[str, int] = {}
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.scripts += tag == "script"
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        if tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "caption":
            self._into = self.captions
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._into = self.tables[-1][-1]
        elif tag == "small" and self._into is not None:
            self._into[-1] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "caption"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data

    @property
    def titled(self) -> dict[str, list[list[str]]]:
        """The tables that have a caption."""
        pairs = zip(self.captions, self.tables, strict=True)
        return {caption.strip(): table for caption, table in pairs if caption.strip()}


def read_page(page: str) -> Reader:
    """Parse a page."""
    reader = Reader()
    reader.feed(page)
    return reader


def data_of(report: Path, name: str) -> dict[str, Any]:
    """Return the data that the scripts of a page read: ``charts`` or ``media``."""
    page = (report / "report.html").read_text("utf-8")
    start = f'<script type="application/json" id="{name}">'
    block = re.search(re.escape(start) + "(.*?)</script>", page, re.DOTALL)
    assert block is not None
    numbers: dict[str, Any] = json.loads(block.group(1))
    return numbers


@contextmanager
def browser() -> Iterator[Any]:
    """Run a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@dataclass
class Opened:
    """A page in a browser, what it said on the console and what it asked of the network."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """Messages of the console, and requests to anything outside the page."""
        return self.said + [a for a in self.asked if not a.startswith(("file:", "data:"))]


@contextmanager
def opened(running: Any, report: Path, **options: Any) -> Iterator[Opened]:
    """Open the page of a report; it must not complain."""
    tab = Opened(running.new_page(**options))
    page = tab.page
    page.on("console", lambda message: tab.said.append(message.text))
    page.on("pageerror", lambda error: tab.said.append(str(error)))
    page.on("dialog", lambda dialog: (tab.said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: tab.asked.append(request.url))
    page.goto((report / "report.html").as_uri())
    page.wait_for_selector("#map .main-svg", state="attached")
    yield tab
    page.close()
    assert tab.complaints == []


def linked(source: Path, path: Path) -> None:
    """Give a file another name, without a copy."""
    path.parent.mkdir(exist_ok=True, parents=True)
    os.link(source, path)
