"""The page in a real browser: quiet, offline, and usable by mouse, keyboard and screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmembed.evaluation.evaluate import evaluate

from .pages import (
    CHROMIUM,
    CONTRASTS,
    NAMELESS,
    VISIBLE,
    Opened,
    browser,
    four_media,
    opened,
    stored,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the report in")
BOUND = "label:image-audio/mAP=1.01"
PHONE = {"viewport": {"width": 380, "height": 800}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    other = four_media(root / "other", noise=2.0)
    data = four_media(root / "media")
    page = evaluate(data, report=root / "report", against=other, fail_under=BOUND).report
    assert page is not None
    return page.parent


@pytest.fixture
def wide(running: Any, report: Path) -> Iterator[Opened]:
    with opened(running, report, viewport={"width": 1280, "height": 900}) as page:
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "wide"])
def test_page_is_quiet_offline_and_legible(
    running: Any, report: Path, scheme: str, size: str
) -> None:
    options = PHONE if size == "phone" else {"viewport": {"width": 1280, "height": 900}}
    with opened(running, report, color_scheme=scheme, **options) as tab:
        page = tab.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(CONTRASTS) == []


def test_changing_the_theme_redraws_the_charts(wide: Opened) -> None:
    colours = "() => document.getElementById('map').layout.font.color"
    before = wide.page.evaluate(colours)
    wide.page.emulate_media(color_scheme="dark")
    wide.page.wait_for_function(f"() => ({colours})() !== '{before}'")


def test_everything_has_a_name_and_headings_do_not_skip(wide: Opened) -> None:
    page = wide.page
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate(NAMELESS) == []
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("svg a[href], iframe, object").count() == 0
    headings = "els => els.filter(" + VISIBLE + ").map(el => Number(el.tagName[1]))"
    levels = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all(headings)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    ids = page.locator("[id]").evaluate_all("els => els.map(el => el.id)")
    assert len(ids) == len(set(ids))
    referred = "els => els.flatMap(el => (el.getAttribute('aria-labelledby') || '').split(' '))"
    assert set(page.locator("[aria-labelledby]").evaluate_all(referred)) <= set(ids)


def test_matrix_follows_metric_and_relevance(wide: Opened) -> None:
    page = wide.page
    shown = page.locator(".matrix:visible")
    assert shown.count() == 1
    assert shown.locator("caption").inner_text().startswith("mAP, relevant by label")
    page.select_option("#metric", "R@5")
    page.select_option("#relevance", "group")
    assert shown.locator("caption").inner_text().startswith("R@5, relevant by group")
    drawn = page.evaluate("document.getElementById('curves').data.map(trace => trace.y)")
    charts = page.evaluate("JSON.parse(document.getElementById('charts').textContent).retrieval")
    rows = [row for row in charts if row["relevance"] == "group"]
    assert drawn == [row["chance"] for row in rows] + [row["R"] for row in rows]
    page.select_option("#hist", "audio → video")
    row = next(r for r in rows if (r["query"], r["target"]) == ("audio", "video"))
    bars = page.evaluate("document.getElementById('ranks').data[0].customdata")
    assert bars == row["queries"]
    page.locator("summary", has_text="Recall as a table").click()
    assert page.locator("#curves-table tbody tr").count() == len(row["k"])


def test_changes_follow_metric_and_relevance(wide: Opened) -> None:
    page = wide.page
    rows = page.locator(".changes tbody tr:visible")
    shown = []
    for metric, relevance in (("mAP", "label"), ("MRR", "label"), ("MRR", "group")):
        page.select_option("#change-metric", metric)
        page.select_option("#change-relevance", relevance)
        assert rows.count() == 12
        assert all(f"\t{relevance}\t" in row for row in rows.all_inner_texts())
        shown.append(rows.first.inner_text())
    assert len(set(shown)) == 3


def test_confusion_follows_modality_and_method(wide: Opened) -> None:
    page = wide.page
    drawn = "document.getElementById('confusion').data[0].z"
    before = page.evaluate(drawn)
    page.select_option("#class-field", "video")
    page.select_option("#class-method", "k-NN")
    assert page.evaluate(drawn) != before
    names = page.evaluate("document.getElementById('confusion').layout.xaxis.ticktext")
    assert len(names) == 4
    assert not any("<" in name for name in names)
    assert page.locator("#class-setting").inner_text().startswith("10 neighbours")
    page.select_option("#class-field", "text")
    page.select_option("#class-method", "zero-shot")
    assert page.locator("#confusion").is_hidden()
    assert page.locator("#too-many").inner_text().startswith("Not scored")


@pytest.mark.parametrize("box", ["shown", "moved"])
def test_gallery_shows_one_list_of_one_direction_with_pictures(wide: Opened, box: str) -> None:
    page = wide.page
    lists = page.locator(f"#{box} .list:visible")
    radios = page.locator(f"#{box} input[type=radio]")
    options = page.locator(f"#{box}-direction option").all_inner_texts()
    for option in (options[0], options[-1]):
        page.select_option(f"#{box}-direction", label=option)
        for radio in radios.all():
            radio.check(force=True)
            assert lists.count() == 1
            shown = lists.locator("h3").inner_text()
            assert option.split(" · ")[0] in shown
            sources = lists.locator("img").evaluate_all("els => els.map(el => el.src)")
            assert all(source.startswith("data:image/webp") for source in sources)
    assert page.locator(f"#{box} .list:visible .mark").count() > 0


def test_lists_are_chosen_by_keyboard(wide: Opened) -> None:
    page = wide.page
    page.locator("#shown input[value=confused]").check(force=True)
    page.focus("#shown input[type=radio]:checked")
    page.keyboard.press("ArrowRight")
    assert page.locator("#shown .list:visible").get_attribute("data-list") == "worst"


def test_a_sound_plays_and_stops_by_keyboard(wide: Opened) -> None:
    page = wide.page
    page.select_option("#shown-direction", label="audio → image · label")
    page.locator("#shown input[value=worst]").check(force=True)
    button = page.locator("#shown .list:visible button.play").first
    assert button.get_attribute("aria-label").startswith("Play ")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    played = "el => Number(el.style.getPropertyValue('--played')) > 0"
    page.wait_for_function(played, arg=button.element_handle())
    page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "false"


def test_map_follows_its_controls_and_the_mouse(wide: Opened) -> None:
    page = wide.page
    page.select_option("#places", "pca")
    page.select_option("#colour", "field")
    names = page.evaluate("document.getElementById('map').data.map(trace => trace.name)")
    assert sorted(names[:-1]) == ["audio", "image", "text", "video"]
    page.locator("#map").scroll_into_view_if_needed()
    places = page.locator("#map .scatterlayer .point").evaluate_all(
        """els => els.map(el => el.getBoundingClientRect())
        .map(box => [box.x + box.width / 2, box.y + box.height / 2])"""
    )
    assert len(places) == 36
    page.mouse.move(*places[0])
    page.wait_for_selector("#peek .card")
    assert page.locator("#peek").inner_text().strip()


def test_map_is_walked_by_keyboard(wide: Opened) -> None:
    page = wide.page
    page.focus("#map-keys")
    seen = set()
    for _ in range(36):
        page.keyboard.press("PageDown")
        seen.add(page.locator("#peek").inner_text())
        ring = page.evaluate("document.getElementById('map').data.at(-1).x.length")
        assert ring == 1
    assert len(seen) == 36
    while not page.locator("#peek button.play").count():
        page.keyboard.press("PageDown")
    page.keyboard.press("Enter")
    assert page.locator("#peek button.play").get_attribute("aria-pressed") == "true"
    before = page.locator("#peek").inner_text()
    steps = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        steps.append(page.locator("#peek").inner_text())
    assert any(step != before for step in steps)
    assert page.locator("#peek").get_attribute("aria-live") == "polite"


def test_many_labels_share_one_colour(running: Any, tmp_path: Path) -> None:
    data = four_media(tmp_path / "media", count=20, labels=20)
    page = evaluate(data, report=tmp_path / "report").report
    assert page is not None
    with opened(running, page.parent) as shown:
        names = shown.page.evaluate("document.getElementById('map').data.map(trace => trace.name)")
        assert len(names) == 13
        assert names[0].endswith("other labels")


def test_many_classes_are_a_list_of_errors(running: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"path": f"{i:03d}.png", "modality": "image", "label": f"<b>{i % 45}", "group": f"g{i}"}
        for i in range(180)
    ]
    data = stored(tmp_path / "set", rows, rng.normal(size=(180, 8)), tmp_path)
    page = evaluate(data, report=tmp_path / "report").report
    assert page is not None
    with opened(running, page.parent) as shown:
        assert shown.page.locator("#confusion").is_hidden()
        assert shown.page.locator("#too-many").inner_text().startswith("45 classes")
        cells = shown.page.locator("#errors tbody td").all_inner_texts()
        assert cells[0].startswith("<b>")


def test_skip_link_comes_first_and_focus_is_seen(wide: Opened) -> None:
    page = wide.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the scores"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    seen = set()
    for _ in range(60):
        name, style, width = page.evaluate(
            """() => { const el = document.activeElement, radio = el.type === 'radio';
            const s = getComputedStyle(radio ? el.nextElementSibling : el);
            return [el.id || el.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; }"""
        )
        seen.add(name)
        assert style != "none" or name == "BODY"
        assert width >= 2 or name == "BODY"
        page.keyboard.press("Tab")
    assert {"metric", "relevance", "hist", "change-metric", "moved-direction"} <= seen


def test_nothing_moves_for_those_who_want_no_motion(running: Any, report: Path) -> None:
    with opened(running, report, reduced_motion="reduce") as page:
        moving = page.page.evaluate(
            """() => [...document.querySelectorAll('body *')]
            .filter(el => !el.closest('.js-plotly-plot'))
            .filter(el => parseFloat(getComputedStyle(el).transitionDuration) > 0).length"""
        )
        assert moving == 0
        behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
        assert page.page.evaluate(behaviour) == "auto"
