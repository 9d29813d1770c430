"""Durations as people write them."""

from __future__ import annotations

import pytest

from mmembed.durations import seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10, 10),
        ("10", 10),
        ("10s", 10),
        (0.5, 0.5),
        ("500ms", 0.5),
        (" 1.5 MIN ", 90),
        ("2h", 7200),
    ],
)
def test_durations_have_units(value: str | float, expected: float) -> None:
    assert seconds(value) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0, -1, "0s", "-3s", "s", "", "ten", "1 day", "nan", "1e400"])
def test_what_is_no_duration_is_named(value: str | float) -> None:
    with pytest.raises(ValueError, match="give a duration, such as 10s"):
        seconds(value)
