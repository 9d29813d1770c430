"""The page has nothing that sends a chart or a name anywhere, whatever it shows."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from mmembed.evaluation.evaluate import evaluate

from ...errors.test_plain_text import EVIL
from ..conftest import CARRIED, dataset
from .pages import CHROMIUM, browser, four_media, opened

OFFERS = re.compile(r"share chart|cloud|studio|upload|edit in|plotly|https?:", re.IGNORECASE)
BUTTONS = {"toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"}
WORDS = """() => [...document.querySelectorAll('body *')].flatMap(el => [
  el.getAttribute('data-title'), el.getAttribute('title'), el.getAttribute('aria-label'),
  el.getAttribute('href'), el.getAttribute('xlink:href'), el.getAttribute('action'),
  el.matches('button, a, [role=button], .modebar-btn') ? el.textContent : null]).filter(Boolean)"""
CHARTS = "() => [...document.querySelectorAll('.js-plotly-plot')].map(el => el.id)"


def test_every_chart_is_drawn_with_the_settings_that_send_nothing() -> None:
    folder = files("mmembed.evaluation.report").joinpath("templates")
    scripts = {name: folder.joinpath(name).read_text("utf-8") for name in ("charts.js", "map.js")}
    for name, settings in (("charts.js", "still"), ("map.js", "explored")):
        drawn = len(re.findall(r"Plotly\.(react|newPlot)\(", scripts[name]))
        assert drawn == len(re.findall(rf"\}}\), {settings}\);", scripts[name])) > 0
    offline = re.search(r"const offline = \{(.*)\}", folder.joinpath("report.js").read_text())
    assert offline is not None
    for each in ('plotlyServerURL: ""', "showSendToCloud: false", "showEditInChartStudio: false"):
        assert each in offline[1]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the report in")
def test_no_control_of_any_chart_offers_to_send_it(tmp_path: Path) -> None:
    data = four_media(tmp_path / "media")
    page = evaluate(data, report=tmp_path / "report", against=data).report
    assert page is not None
    with browser() as running, opened(running, page.parent) as shown:
        charts = shown.page.evaluate(CHARTS)
        assert sorted(charts) == ["confusion", "curves", "map", "ranks"]
        for chart in charts:
            at = f"document.getElementById('{chart}')"
            shown.page.locator(f"#{chart}").hover()
            assert shown.page.evaluate(f"{at}._context.plotlyServerURL") == ""
            assert not shown.page.evaluate(f"{at}._context.showSendToCloud")
            buttons = shown.page.evaluate(
                f"(({at}._fullLayout._modeBar || {{}}).buttons || []).flat().map(b => b.name)"
            )
            assert set(buttons) == (BUTTONS if chart == "map" else set())
        assert [word for word in shown.page.evaluate(WORDS) if OFFERS.search(word)] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the report in")
def test_hostile_names_draw_no_element_and_ask_for_nothing(tmp_path: Path) -> None:
    rows = []
    for i, name in enumerate(EVIL * 2):
        text = name.encode("utf-8", "replace").decode()
        rows.append({"path": f"{i} {text}", "modality": f"{i % 2}<a href=//t>", "group": text})
        rows[-1]["label"] = f"{i % 3} {EVIL[15 + i % 2]}"
    vectors = np.random.default_rng(0).normal(size=(len(rows), 4))
    data = dataset(tmp_path / "set", rows, vectors, "", CARRIED)
    page = evaluate(data, report=tmp_path / "report").report
    assert page is not None
    with browser() as running, opened(running, page.parent) as shown:
        assert sorted(shown.page.evaluate(CHARTS)) == ["confusion", "curves", "map", "ranks"]
        assert shown.page.locator("svg a, iframe, object, [onmouseover]").count() == 0
        assert shown.page.locator("body script").count() == 4
        legend = shown.page.locator("#curves .legendtext").all_text_contents()
        assert legend
        assert all("<a href=" in text for text in legend)
        shown.page.evaluate("Plotly.Fx.hover('curves', [{curveNumber: 2, pointNumber: 0}])")
        hovered = shown.page.wait_for_selector("#curves .hoverlayer text", state="attached")
        assert "<a href=" in hovered.text_content()
        assert shown.page.locator("svg a").count() == 0
