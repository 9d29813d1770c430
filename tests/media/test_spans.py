"""Spans cover all of a file, in order, with nothing repeated or padded."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmembed.media.spans import RESOLUTION_SECONDS, Span, cut, uniform_times

durations = st.floats(0, 500)
lengths = st.floats(0.1, 100)
shares = st.floats(0.05, 1)


def cuts(duration: float, length: float, hop_share: float, min_seconds: float) -> list[Span]:
    return cut(
        duration, length, max(1.0, length * hop_share) if length > 1 else length, min_seconds
    )


@settings(deadline=None)
@given(durations, lengths, shares, st.floats(0, 10))
@example(0.3, 0.1, 1.0, 0.0)
@example(0.7, 0.1, 1.0, 0.05)
@example(1e-9, 10.0, 1.0, 0.5)
def test_spans_cover_the_whole_in_order(
    duration: float, length: float, share: float, least: float
) -> None:
    spans = cuts(duration, length, share, least)
    assert [s.index for s in spans] == list(range(len(spans)))
    assert spans[0].start_seconds == 0
    assert spans[-1].end_seconds == duration
    for before, after in itertools.pairwise(spans):
        assert before.start_seconds < after.start_seconds <= before.end_seconds
        assert before.end_seconds < after.end_seconds


@settings(deadline=None)
@given(durations, lengths, shares, st.floats(0, 10))
def test_the_last_span_adds_something_worth_a_row(
    duration: float, length: float, share: float, least: float
) -> None:
    spans = cuts(duration, length, share, least)
    for span in spans[:-1]:
        assert span.length_seconds == pytest.approx(length)
    assert spans[-1].length_seconds <= length + max(least, RESOLUTION_SECONDS) + 1e-9
    if len(spans) > 1:
        added = spans[-1].end_seconds - spans[-2].end_seconds
        assert added >= max(least, RESOLUTION_SECONDS) - 1e-9


@settings(deadline=None)
@given(st.integers(1, 2000), st.sampled_from([0.1, 0.3, 0.7, 1.1, 2.5, 10.0]))
def test_rounding_makes_no_extra_span(count: int, length: float) -> None:
    for duration in (count * length, math.fsum([length] * count), sum([length] * count)):
        assert len(cut(duration, length, length, 0.0)) == count


@pytest.mark.parametrize("duration", [0.0, 0.2, 5.0, 10.0, 10.4])
def test_short_media_is_one_span(duration: float) -> None:
    assert cut(duration, 10.0, 10.0, 0.5) == [Span(0, 0.0, duration)]


def test_a_short_tail_joins_the_span_before_it() -> None:
    assert cut(20.4, 10.0, 10.0, 0.5) == [Span(0, 0, 10), Span(1, 10, 20.4)]
    assert cut(20.5, 10.0, 10.0, 0.5) == [Span(0, 0, 10), Span(1, 10, 20), Span(2, 20, 20.5)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1.0, 1.0, 1.0, 0.0), "seconds must be finite"),
        ((math.nan, 1.0, 1.0, 0.0), "seconds must be finite"),
        ((1.0, math.inf, 1.0, 0.0), "seconds must be finite"),
        ((1.0, 1.0, 1.0, -0.1), "seconds must be finite"),
        ((1.0, 1.0, 0.0, 0.0), "needs 0 < hop_seconds <= length_seconds"),
        ((1.0, 0.0, 0.0, 0.0), "needs 0 < hop_seconds <= length_seconds"),
        ((1.0, 1.0, 2.0, 0.0), "needs 0 < hop_seconds <= length_seconds"),
    ],
)
def test_seconds_that_make_no_sense_are_refused(
    arguments: tuple[float, float, float, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        cut(*arguments)


@pytest.mark.parametrize(("start", "end"), [(-1.0, 2.0), (3.0, 2.0), (0.0, math.inf)])
def test_a_span_runs_forwards(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="a span needs 0 <= start <= end"):
        Span(0, start, end)


@settings(deadline=None)
@given(st.floats(0, 1000), st.floats(0.001, 1000), st.integers(1, 64))
def test_uniform_times_are_the_midpoints_of_equal_parts(
    start: float, length: float, count: int
) -> None:
    times = uniform_times(Span(0, start, start + length), count)
    part = length / count
    assert times == pytest.approx([start + (i + 0.5) * part for i in range(count)], abs=1e-9)
    assert all(start <= time <= start + length for time in times)


def test_uniform_times_need_a_count() -> None:
    with pytest.raises(ValueError, match="count must be at least 1"):
        uniform_times(Span(0, 0.0, 1.0), 0)


@settings(deadline=None)
@given(durations, lengths, st.floats(0, 10))
def test_spans_without_overlap_tile_the_media(duration: float, length: float, least: float) -> None:
    spans = cut(duration, length, length, least)
    assert math.fsum(s.length_seconds for s in spans) == pytest.approx(duration, abs=1e-6)
    for before, after in itertools.pairwise(spans):
        assert after.start_seconds == pytest.approx(before.end_seconds, abs=1e-9)


@settings(deadline=None)
@given(durations, st.floats(1, 100), st.floats(0.1, 1), st.floats(0, 1))
def test_no_instant_is_in_more_spans_than_the_hop_asks_for(
    duration: float, length: float, share: float, place: float
) -> None:
    hop = length * share
    spans = cut(duration, length, hop, 0.0)
    instant = place * duration
    over = [s for s in spans if s.start_seconds <= instant < s.end_seconds]
    assert len(over) <= math.ceil(length / hop + 1e-9)
    assert over or instant == duration


@settings(deadline=None)
@given(durations, lengths, shares, st.floats(0, 10), st.floats(0, 50))
def test_longer_media_has_the_same_spans_and_more(
    duration: float, length: float, share: float, least: float, more: float
) -> None:
    short, long = (cuts(d, length, share, least) for d in (duration, duration + more))
    assert len(long) >= len(short)
    assert long[: len(short) - 1] == short[:-1]  # all but the last, which may be extended
