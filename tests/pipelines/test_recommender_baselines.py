from __future__ import annotations

import sys
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


def test_an_item_that_was_taken_is_not_recommended() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(5, 8)), rng.normal(size=(60, 8))
    seen = matrix([[], [1, 2, 3], list(range(40)), [59], list(range(20, 55))], 60)
    best = baselines.recommend(users, items, seen)
    assert best.shape == (5, 20)
    for user, row in enumerate(best):
        assert len(set(row)) == 20
        assert not set(row) & set(seen[user].indices)


def test_recommended_are_the_largest_products_with_the_bonus_added() -> None:
    rng = np.random.default_rng(1)
    users, items = 3 * rng.normal(size=(30, 6)), rng.normal(size=(100, 6))
    bonus = rng.normal(size=100)
    seen = matrix([list(rng.permutation(100)[:10]) for _ in range(30)], 100)
    for given in (None, bonus):
        products = users @ items.T + (0 if given is None else given)
        products[seen.toarray() > 0] = -np.inf
        best = baselines.recommend(users, items, seen, given)
        scores = np.take_along_axis(products, best, 1)
        assert scores == pytest.approx(-np.sort(-products, axis=1)[:, :20], abs=1e-4)


def test_popularity_counts_users_and_leaves_out_what_a_user_has() -> None:
    before = matrix([[0, 1, 2], [0, 1], [0], [*range(3, 30)]], 60)
    assert baselines.popularity(before)[:4].tolist() == [3, 2, 1, 1]
    best = baselines.most_popular(before)
    assert best[2, :2].tolist() == [1, 2]
    assert best[3, :3].tolist() == [0, 1, 2]
    assert not set(best[3]) & set(range(3, 30))


def test_als_finds_the_items_of_a_users_own_kind() -> None:
    pytest.importorskip("implicit")
    rng = np.random.default_rng(2)
    halves = [np.arange(40), np.arange(40, 80)]
    rows = [list(rng.permutation(halves[user % 2])[:15]) for user in range(60)]
    als = baselines.Als(factors=8, iterations=10)
    best = als.recommend(matrix(rows, 80))
    own = [np.isin(row, halves[user % 2]).mean() for user, row in enumerate(best)]
    assert np.mean(own) > 0.8  # by chance 0.38
    assert (als.recommend(matrix(rows, 80)) == best).all()


def test_tuning_takes_the_settings_that_recall_most(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = matrix([[25]], 40)

    def recommend(als: baselines.Als, before: sparse.csr_matrix, seed: int = 0) -> np.ndarray:
        return np.arange(20)[None] + (10 if als.factors == 32 and als.alpha == 5.0 else 0)

    monkeypatch.setattr(baselines.Als, "recommend", recommend)
    best, score = baselines.tuned(wanted, wanted)
    assert (best.factors, best.alpha, score) == (32, 5.0, 1.0)


def test_every_setting_of_the_grid_is_tried_once() -> None:
    settings = list(baselines.grid())
    assert len(settings) == len(set(settings))
    assert {als.factors for als in settings} == {16, 32, 64}


def test_als_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    with pytest.raises(MissingExtraError, match=r"ALS as a baseline needs an extra: .*recommender"):
        baselines.Als().recommend(matrix([[0]], 2))
