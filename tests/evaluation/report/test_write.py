"""The page, the JSON and the Markdown: one set of numbers, offline, whatever files are called."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmembed.errors.plain_text import markdown_text
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.retrieval.metrics import METRICS
from mmembed.evaluation.tables import number, signed, span

from ..conftest import EVIL
from .pages import EVIL_GROUP, EVIL_LABEL, EVIL_WORDS, data_of, four_media, read_page, stored


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return four_media(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def report(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a dataset of four modalities beside a noisier one."""
    root = tmp_path_factory.mktemp("report")
    other = four_media(root / "other", noise=2.0)
    bounds = "label:image-audio/mAP=1.01"
    page = evaluate(dataset, report=root / "report", against=other, fail_under=bounds).report
    assert page is not None
    return page.parent


@pytest.fixture(scope="module")
def numbers(report: Path) -> dict[str, Any]:
    def never(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    text = (report / "report.json").read_text("utf-8")
    numbers: dict[str, Any] = json.loads(text, parse_constant=never)
    return numbers


@pytest.fixture(scope="module")
def page(report: Path) -> str:
    return (report / "report.html").read_text("utf-8")


def test_report_is_four_whole_files(report: Path, numbers: dict[str, Any]) -> None:
    names = ["queries.parquet", "report.html", "report.json", "report.md"]
    assert sorted(p.name for p in report.iterdir()) == names
    queries = pq.read_table(report / "queries.parquet")
    assert len(queries) == sum(r["queries"] + r["unanswerable"] for r in numbers["retrieval"])
    row = numbers["retrieval"][0]
    mine = [
        q["mAP"]
        for q in queries.to_pylist()
        if (q["relevance"], q["query_modality"], q["target_modality"])
        == (row["relevance"], row["query"], row["target"])
    ]
    assert np.mean([m for m in mine if m is not None]) == pytest.approx(row["metrics"]["mAP"])


def test_matrices_say_the_numbers_of_the_json(page: str, numbers: dict[str, Any]) -> None:
    tables = read_page(page).titled
    assert len(numbers["retrieval"]) == 24
    for row in numbers["retrieval"]:
        for metric in METRICS:
            start = f"{metric.name}, relevant by {row['relevance']}:"
            table = next(t for title, t in tables.items() if title.startswith(start))
            column = table[0].index(f"→ {row['target']}")
            cell = next(line for line in table if line[0] == row["query"])[column]
            shown = [row["metrics"][metric.name], row["chance"][metric.name]]
            bounds = span(row["intervals"].get(metric.name))
            assert cell.split() == [number(shown[0]), bounds, "chance", number(shown[1])]


def test_charts_draw_the_numbers_of_the_json(report: Path, numbers: dict[str, Any]) -> None:
    charts = data_of(report, "charts")
    for drawn, row in zip(charts["retrieval"], numbers["retrieval"], strict=True):
        assert (drawn["k"], drawn["R"]) == (row["recall_curve"]["k"], row["recall_curve"]["R"])
        assert (drawn["upto"], drawn["queries"]) == tuple(row["first_ranks"].values())
        for cut in (1, 5):
            at = drawn["k"].index(cut)
            assert drawn["chance"][at] == pytest.approx(row["chance"][f"R@{cut}"])
    for drawn, row in zip(charts["classification"], numbers["classification"], strict=True):
        assert drawn["confusion"] == row["confusion"]
        assert drawn["errors"] == row["most_confused"]


def test_classification_says_metrics_with_intervals(page: str, numbers: dict[str, Any]) -> None:
    tables = read_page(page).titled
    lines = tables["Classification by modality and method, with 95 % intervals"][1:]
    for line, row in zip(lines, numbers["classification"], strict=True):
        cells = [
            f"{number(value)} {span(row['intervals'][name])}"
            for name, value in row["metrics"].items()
        ]
        assert line == [row["modality"], row["method"], *cells, number(row["chance"])]


def test_comparison_says_changes_intervals_and_p(page: str, numbers: dict[str, Any]) -> None:
    lines = read_page(page).titled["Changes by direction"][1:]
    assert len(lines) == len(numbers["comparison"]["changes"]) > 0
    for line, c in zip(lines, numbers["comparison"]["changes"], strict=True):
        low, high = c["interval"]
        assert line[:6] == [
            f"{c['query']} → {c['target']}",
            c["relevance"],
            number(c["value"]),
            number(c["other"]),
            signed(c["difference"]),
            f"{signed(low)} to {signed(high)}",
        ]
        assert line[7:9] == [f"{c['p']:.2g}", f"{c['p_holm']:.2g}"]
        better = c["p_holm"] < 0.05
        sign = line[9].strip()[0]
        assert sign == ("○" if not better else "▲" if c["difference"] > 0 else "▼")
    assert f"Against {numbers['comparison']['other']}" in page
    for value in numbers["comparison"]["neighbour_overlap"].values():
        assert f"<dd>{number(value)}</dd>" in page


def test_verdict_comes_first_then_bounds_faults_and_matrix(
    page: str, numbers: dict[str, Any]
) -> None:
    assert numbers["missed"]
    assert numbers["faults"]
    marks = ['class="verdict"', 'id="h-missed"', 'id="h-faults"', 'id="h-retrieval"', 'id="map"']
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    assert page.count('class="tag"') == len(numbers["faults"])
    for fault in numbers["faults"]:
        assert f'<span class="tag">{fault["kind"]}</span>' in page


def test_markdown_says_the_verdict_and_the_fingerprint(
    report: Path, numbers: dict[str, Any]
) -> None:
    text = (report / "report.md").read_text("utf-8")
    assert numbers["space"]["fingerprint"] in text
    assert markdown_text(numbers["verdict"]) in text
    for name, words in {**numbers["protocol"], **numbers["metrics"]}.items():
        assert f"- {name}: {markdown_text(words)}" in text


def test_page_is_whole_and_loads_nothing(page: str) -> None:
    tags = read_page(page)
    assert {a for a in tags.addresses if not a.startswith("#")} == {"data:,"}
    assert (tags.scripts, tags.handlers) == (4, [])
    assert len(page.encode()) < 15e6


def test_only_the_scripts_of_the_page_may_run(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'; script-src 'sha256-")
    for closed in ("connect-src 'none'", "base-uri 'none'", "form-action 'none'"):
        assert closed in policy.group(1)
    assert "http" not in policy.group(1)
    for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy.group(1)


def test_names_are_never_markup(page: str) -> None:
    for evil in (EVIL, EVIL_LABEL, EVIL_GROUP, EVIL_WORDS, "toy <b>"):
        assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.png" in page
    assert "&lt;img src=x onerror=alert(3)&gt; &amp; a dog&#39;s &#34;bark&#34;" in page
    assert "toy &lt;b&gt;space&lt;/b&gt;" in page
    tags = read_page(page)
    assert "svg" not in tags.tags
    assert "b" not in re.findall(r"<h1>(.*?)</h1>", page)[0].split("<")[1:]


def test_every_item_is_shown_once_with_its_picture_sound_or_words(report: Path) -> None:
    charts, media = data_of(report, "charts"), data_of(report, "media")
    assert len(charts["map"]) == len(charts["items"]) == 36
    assert len(media["pictures"]) == 27
    assert 0 < len(media["sounds"]) <= 9
    assert all(s.startswith("data:audio/mpeg;base64,") for s in media["sounds"].values())
    assert all(len(p["tsne"]) == len(p["pca"]) == 2 for p in charts["map"])
    texts = [item for item in charts["items"].values() if item["field"] == "text"]
    assert len(texts) == 9
    assert EVIL_WORDS in [item["words"] for item in texts]


def test_missing_media_is_said_and_the_report_still_comes(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    page = evaluate(dataset, report=tmp_path / "report", media=tmp_path / "empty").report
    assert page is not None
    assert "27 files not shown: not in the folder of media that was named." in page.read_text(
        "utf-8"
    )
    assert data_of(page.parent, "media")["pictures"] == {}


def test_moments_show_their_span(tmp_path: Path, rng: np.random.Generator) -> None:
    rows = [
        {"path": f"{modality}-{i}", "modality": modality, "group": f"g{i}"}
        | {"segment_index": s, "start_s": 2.0 * s, "end_s": 2.0 * s + 2}
        for modality in ("audio", "video")
        for i in range(3)
        for s in range(3)
    ]
    folder = stored(tmp_path / "set", rows, rng.normal(size=(18, 6)), tmp_path)
    page = evaluate(folder, report=tmp_path / "report", pool="moments").report
    assert page is not None
    charts = data_of(page.parent, "charts")
    assert {item["span"] for item in charts["items"].values()} == {
        "0.0–2.0 s",
        "2.0–4.0 s",
        "4.0–6.0 s",
    }
    assert 'aria-label="Play audio-0, 2.0–4.0 s"' in page.read_text("utf-8")


def test_page_without_labels_or_directions_still_comes(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = [{"path": f"{i}.png", "modality": "image"} for i in range(5)]
    folder = stored(tmp_path / "set", rows, rng.normal(size=(5, 6)), tmp_path)
    page = evaluate(folder, report=tmp_path / "report").report
    assert page is not None
    text = page.read_text("utf-8")
    assert "Nothing could be scored" in text
    assert 'id="retrieval"' not in text
    assert 'id="comparison"' not in text
    assert len(pq.read_table(page.parent / "queries.parquet")) == 0
