"""Durations as people write them."""

from __future__ import annotations

import pytest

from mmembed.durations import readable, seconds


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.0 s"),
        (8.46, "8.5 s"),
        (42.2, "42 s"),
        (119.9, "120 s"),
        (750, "12.5 min"),
        (11520, "3.2 h"),
        (3.6e6, "1,000.0 h"),
    ],
)
def test_durations_are_read_in_their_own_unit(value: float, expected: str) -> None:
    assert readable(value) == expected
