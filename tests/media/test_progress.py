"""Progress of decoding is what comes forward, and costs nothing where nobody listens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.media import progress
from mmembed.media.progress import Progress


@pytest.fixture(autouse=True)
def _nobody_listens_afterwards() -> Iterator[None]:
    yield
    progress.listen(None)


def test_nothing_happens_where_nobody_listens() -> None:
    progress.begin(3)
    progress.report(7.0)
    heard: list[Progress] = []
    progress.listen(heard.append)
    progress.report(1.0)
    assert heard == [Progress(0, 1.0, 0)]


@given(st.lists(st.floats(0, 1e5), max_size=30))
def test_only_a_time_later_than_all_before_it_is_told(times: list[float]) -> None:
    heard: list[Progress] = []
    progress.listen(heard.append)
    for time in times:
        progress.report(time)
    told = [each.seconds for each in heard]
    assert told == sorted(set(told))
    assert max(told, default=0.0) == max(times, default=0.0)
    assert all(each.passes == 0 for each in heard)


def test_another_item_or_pass_begins_at_its_first_second() -> None:
    heard: list[Progress] = []
    progress.listen(heard.append)
    progress.begin(0)
    progress.report(5.0)
    progress.begin_again()
    progress.report(2.0)
    progress.begin(1)
    assert heard == [
        Progress(0, 0.0, 1),
        Progress(0, 5.0, 1),
        Progress(0, 0.0, 2),
        Progress(0, 2.0, 2),
        Progress(1, 0.0, 3),
    ]
