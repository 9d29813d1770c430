"""Data of the charts: no more points than a map holds."""

from __future__ import annotations

import pytest

import mmembed.evaluation.report.charts as charts

from .test_item_words import items_of


def test_a_map_shows_an_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "MAP_POINTS", 5)
    points = charts._map(items_of(["a"] * 30))
    assert [point["i"] for point in points] == [0, 7, 14, 21, 29]
    assert all(len(point[name]) == 2 for point in points for name in ("tsne", "pca"))
