"""Media are clearly short if a quarter of a second and two percent are missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmembed.media.declared_length import clearly_short


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_media_are_clearly_short_by_a_quarter_of_a_second_and_two_percent(
    end: float, declared_seconds: float
) -> None:
    short = clearly_short(end, declared_seconds)
    missing = declared_seconds - end
    assert short == (missing > 0.25 and missing > 0.02 * declared_seconds)
    assert not clearly_short(end, None)
    assert not clearly_short(declared_seconds, declared_seconds)
