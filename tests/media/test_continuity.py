"""Time stamps that start again or jump go on, for all tracks of a file alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.media.continuity import BACK_SECONDS, NEAR_SECONDS, Continuity, goes_on


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=40))
def test_stamps_that_go_on_are_left_as_they_are(durations: list[float]) -> None:
    continuity, stamp = Continuity(10.0), 3.0
    for duration in durations:
        assert continuity.shift(0, stamp, duration) == 0.0
        stamp += duration


@given(st.floats(1.2, 1e5), st.floats(0.0, 1e5), st.integers(1, 50))
def test_a_clock_that_starts_again_goes_on_where_it_was(
    length: float, begin: float, pieces: int
) -> None:
    continuity, end = Continuity(), begin
    for number in range(pieces):
        end = begin + length * (number + 1) / pieces
        continuity.shift(0, begin + length * number / pieces, length / pieces)
    shift = continuity.shift(0, begin, 0.04)
    assert begin + shift == pytest.approx(end, rel=1e-9, abs=1e-9)
    assert continuity.shift(0, begin + 0.04, 0.04) == shift


def test_tracks_that_start_again_together_get_the_same_shift() -> None:
    continuity = Continuity()
    for number in range(100):
        continuity.shift(0, 1.48 + number / 25, 1 / 25)
    for number in range(190):
        continuity.shift(1, 1.46 + number * 0.0213, 0.0213)
    pictures = continuity.shift(0, 1.48, 1 / 25)
    sound = continuity.shift(1, 1.46, 0.0213)
    assert pictures == sound == pytest.approx(4.0)


def test_a_track_that_ended_long_before_keeps_its_own_length() -> None:
    continuity = Continuity()
    for number in range(100):
        continuity.shift(0, number / 25, 1 / 25)
    continuity.shift(1, 0.0, 1.0)
    assert continuity.shift(0, 0.0, 1 / 25) == pytest.approx(4.0)
    assert continuity.shift(1, 0.1, 1.0) == 0.0  # nothing went back in this one


def test_frames_shown_in_another_order_than_stored_do_not_restart_a_clock() -> None:
    continuity = Continuity()
    for stamp in (0.0, 0.16, 0.08, 0.04, 0.12, 0.9, 0.2):
        assert continuity.shift(0, stamp, 0.04) == 0.0
    assert BACK_SECONDS >= 1.0
    assert NEAR_SECONDS > BACK_SECONDS


def test_a_jump_of_all_tracks_is_closed_and_one_of_a_single_track_is_not() -> None:
    continuity = Continuity(10.0)
    for number in range(10):
        continuity.shift(0, number / 10, 1 / 10)
        continuity.shift(1, number / 10, 1 / 10)
    days = 1.0 + 3 * 86400
    assert days + continuity.shift(0, days, 0.1) == pytest.approx(1.0)
    assert days + continuity.shift(1, days, 0.1) == pytest.approx(1.0)
    sparse = Continuity(10.0)
    sparse.shift(0, 0.0, 0.04)
    for number in range(400):
        sparse.shift(1, number / 10, 1 / 10)
    assert sparse.shift(0, 39.0, 0.04) == 0.0  # a slide that stood for as long as there was sound


def test_formats_that_may_show_nothing_for_long_keep_their_gaps() -> None:
    continuity = Continuity(math.inf)
    continuity.shift(0, 0.0, 1.0)
    assert continuity.shift(0, 7200.0, 1.0) == 0.0


@given(
    st.lists(st.floats(-3.0, 30.0), min_size=1, max_size=30),
    st.lists(st.floats(0.0, 2.0), min_size=30, max_size=30),
)
def test_a_track_goes_on_just_where_nothing_is_added_to_its_stamps(
    steps: list[float], durations: list[float]
) -> None:
    stamps, lengths = np.cumsum(steps), np.array(durations[: len(steps)])
    continuity = Continuity(10.0)
    shifts = [
        continuity.shift(0, float(stamp), float(length))
        for stamp, length in zip(stamps, lengths, strict=True)
    ]
    assert goes_on(stamps, lengths, 10.0) == (not any(shifts))


def test_packets_without_a_time_stamp_are_passed_over() -> None:
    stamps = np.array([0.0, np.nan, 1.0, np.nan, 2.0])
    assert goes_on(stamps, np.full(5, 0.5), 10.0)
    assert not goes_on(stamps[::-1], np.full(5, 0.5), 10.0)
    assert goes_on(np.zeros(0), np.zeros(0), 10.0)
    assert goes_on(np.array([np.nan]), np.zeros(1), 10.0)
