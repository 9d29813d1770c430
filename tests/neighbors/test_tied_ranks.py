"""Ranks in a list of scores: ties share a rank, and chains of near scores are one tie."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.neighbors.tied_ranks import FLOAT64_TIE, tied_ranks

SCORES = st.lists(st.sampled_from([-1.0, -0.2, 0.0, 0.3, 0.3000001, 1.0]), min_size=1)


@settings(deadline=None)
@given(SCORES, st.integers(0, 5), st.data())
def test_a_rank_is_the_number_of_better_scores(
    scores: list[float], better: int, data: st.DataObject
) -> None:
    ordered = np.sort(np.array(scores))
    wanted = data.draw(st.lists(st.sampled_from(scores)))
    before, size = tied_ranks(ordered, np.array(wanted, float), better)
    assert before.tolist() == [better + sum(s > w for s in scores) for w in wanted]
    assert size.tolist() == [scores.count(w) for w in wanted]


@settings(deadline=None)
@given(st.integers(1, 30))
def test_scores_that_differ_by_rounding_tie_and_chains_of_them_too(count: int) -> None:
    chain = 0.5 + 0.9 * FLOAT64_TIE * np.arange(count)
    ordered = np.concatenate([[0.1], chain, [0.9]])
    before, size = tied_ranks(ordered, chain)
    assert before.tolist() == [1] * count
    assert size.tolist() == [count] * count


def test_scores_farther_apart_than_rounding_do_not_tie() -> None:
    ordered = np.array([0.5, 0.5 + 3 * FLOAT64_TIE])
    before, size = tied_ranks(ordered, ordered)
    assert before.tolist() == [1, 0]
    assert size.tolist() == [1, 1]


def test_one_score_gives_one_rank() -> None:
    assert tied_ranks(np.array([0.1, 0.4, 0.4]), 0.4, 2) == (2, 2)
