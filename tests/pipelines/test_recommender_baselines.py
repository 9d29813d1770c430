from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "pipelines"))

import recommender_baselines as baselines  # noqa: E402

from mmembed.errors import MissingExtraError  # noqa: E402


def matrix(rows: list[list[int]], items: int) -> sparse.csr_matrix:
    """Users who took some items each."""
    dense = np.zeros((len(rows), items), np.float32)
    for user, taken in enumerate(rows):
        dense[user, taken] = 1
    return sparse.csr_matrix(dense)


def test_recall_is_the_mean_share_of_wanted_items_among_the_twenty() -> None:
    best = np.tile(np.arange(20), (4, 1))
    wanted = matrix([[0, 19, 20, 21], [5], [30], []], 40)  # 2 of 4, 1 of 1, 0 of 1, nobody's
    assert baselines.recall(best, wanted) == pytest.approx((0.5 + 1 + 0) / 3)


def test_recall_is_zero_where_nobody_wants_anything() -> None:
    assert baselines.recall(np.zeros((2, 20), int), matrix([[], []], 40)) == 0


def drawn(seed: int, users: int, items: int) -> baselines.Recommender:
    rng = np.random.default_rng(seed)
    vectors = 3 * rng.normal(size=(users, 6)), rng.normal(size=(items, 6))
    return baselines.Recommender(*vectors, rng.normal(size=items))


def test_an_item_that_was_taken_is_not_recommended() -> None:
    seen = matrix([[], [1, 2, 3], list(range(40)), [59], list(range(20, 55))], 60)
    best = drawn(0, 5, 60).best(seen)
    assert best.shape == (5, 20)
    for user, row in enumerate(best):
        assert len(set(row)) == 20
        assert not set(row) & set(seen[user].indices)


def test_recommended_are_the_largest_products_with_the_bonus_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(baselines, "QUERIES_AT_ONCE", 7)
    both = drawn(1, 30, 100)
    rng = np.random.default_rng(2)
    seen = matrix([list(rng.permutation(100)[:10]) for _ in range(30)], 100)
    for given in (both, replace(both, bonus=np.zeros(100))):
        products = given.users @ given.items.T + given.bonus
        products[seen.toarray() > 0] = -np.inf
        scores = np.take_along_axis(products, given.best(seen), 1)
        assert scores == pytest.approx(-np.sort(-products, axis=1)[:, :20], abs=1e-4)


def test_the_best_among_some_items_are_the_largest_of_theirs() -> None:
    given = drawn(3, 10, 100)
    some = np.arange(50, 90)
    products = given.users @ given.items[some].T + given.bonus[some]
    best = given.best_among(some)
    assert (best == some[np.argsort(-products, axis=1)[:, :20]]).all()


def test_who_has_taken_nearly_all_is_recommended_the_rest() -> None:
    given = drawn(4, 3, 30)
    assert (np.sort(given.best_among(np.array([4, 2, 9]))) == [2, 4, 9]).all()
    best = given.best(matrix([list(range(28)), [], []], 30))
    assert sorted(best[0]) == [-1] * 18 + [28, 29]
    assert baselines.recall(best[:1], matrix([[0, 28, 29]], 30)) == pytest.approx(2 / 3)


def test_popularity_counts_users_and_leaves_out_what_a_user_has() -> None:
    before = matrix([[0, 1, 2], [0, 1], [0], [*range(3, 30)]], 60)
    assert baselines.popularity(before)[:4].tolist() == [3, 2, 1, 1]
    best = baselines.most_popular(before).best(before)
    assert best[2, :2].tolist() == [1, 2]
    assert best[3, :3].tolist() == [0, 1, 2]
    assert not set(best[3]) & set(range(3, 30))


def test_als_finds_the_items_of_a_users_own_kind_and_knows_nothing_of_new_ones() -> None:
    pytest.importorskip("implicit")
    rng = np.random.default_rng(2)
    halves = [np.arange(40), np.arange(40, 80)]
    rows = [list(rng.permutation(halves[user % 2])[:15]) for user in range(60)]
    before = matrix(rows, 85)
    als = baselines.Als(factors=8, regularization=1.0, iterations=10)
    learnt = als.fit(before)
    best = learnt.best(before)
    own = [np.isin(row, halves[user % 2]).mean() for user, row in enumerate(best)]
    assert np.mean(own) > 0.8  # by chance 0.38
    assert (learnt.items[80:] == 0).all()
    assert (als.fit(before).best(before) == best).all()


def test_tuning_takes_the_settings_that_recall_most_of_the_users_that_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Settings of 32 factors know what the second user wants, others what the first does."""
    wanted, before = matrix([[5], [25]], 40), matrix([[], []], 40)
    tried = []

    def fit(als: baselines.Als, before: sparse.csr_matrix, seed: int = 0) -> baselines.Recommender:
        tried.append(als)
        liked = np.arange(40) // 20 == (als.factors == 32 and als.alpha == 5.0)
        return baselines.Recommender(np.ones((2, 1)), liked[:, None].astype(float), np.zeros(40))

    monkeypatch.setattr(baselines.Als, "fit", fit)
    best, score = baselines.tuned(before, wanted, np.array([1]))
    assert (best.factors, best.alpha, score) == (32, 5.0, 1.0)
    assert len(tried) == len(set(tried))
    assert {als.iterations for als in tried if als.factors == 32} == {5, 10, 15, 30}


def test_every_setting_of_the_grid_is_tried_once() -> None:
    settings = list(baselines.grid())
    assert len(settings) == len(set(settings))
    assert {als.factors for als in settings} == {8, 16, 32}


def test_als_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    with pytest.raises(MissingExtraError, match=r"ALS as a baseline needs an extra: .*recommender"):
        baselines.Als().fit(matrix([[0]], 2))
