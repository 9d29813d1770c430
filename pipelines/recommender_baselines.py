"""Recommendations and their recall, and what a recommender has to beat: popularity and ALS."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import sparse

from mmembed.errors import MissingExtraError
from mmembed.neighbors.exact import top_k

COUNT = 20  # items of a recommendation
QUERIES_AT_ONCE = 2_000


def recommend(
    users: np.ndarray,
    items: np.ndarray,
    seen: sparse.csr_matrix,
    bonus: np.ndarray | None = None,
) -> np.ndarray:
    """Return the items ``(users, 20)`` of the largest products that a user has not taken yet.

    The items get two more dimensions, one that adds their bonus and one that makes all of them
    equally long, so that the nearest by cosine are those of the largest product (Bachrach et al.
    2014, RecSys, "Speeding up the Xbox recommender system").

    Args:
        users: vectors ``(users, dim)``.
        items: vectors ``(items, dim)``.
        seen: who took what, ``(users, items)``.
        bonus: added to the products of each item ``(items,)``; None adds nothing.
    """
    bonus = np.zeros(len(items)) if bonus is None else bonus
    squares = (items.astype(float) ** 2).sum(1) + bonus**2
    longest = squares.max()
    padding = np.sqrt(np.maximum(longest - squares, 0))
    targets = np.column_stack([items, bonus, padding]) / np.sqrt(longest)
    lengths = np.sqrt((users.astype(float) ** 2).sum(1) + 1)
    queries = np.column_stack([users, np.ones(len(users)), np.zeros(len(users))])
    queries = (queries / lengths[:, None]).astype(np.float32)
    best = np.empty((len(users), COUNT), int)
    for start in range(0, len(users), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        taken = seen[part]
        most = int(np.diff(taken.indptr).max(initial=0))
        near, _ = top_k(queries[part], targets.astype(np.float32), COUNT + most)
        best[part] = without(near, taken)
    return best


def without(near: np.ndarray, taken: sparse.csr_matrix) -> np.ndarray:
    """Return the first 20 of each row of ``near`` that the row of ``taken`` lacks."""
    owner = np.repeat(np.arange(len(near)), near.shape[1])
    known = np.asarray(taken[owner, near.ravel()]).reshape(near.shape) > 0
    first = np.argsort(known, axis=1, kind="stable")[:, :COUNT]
    return np.take_along_axis(near, first, 1)


def recall(best: np.ndarray, wanted: sparse.csr_matrix) -> float:
    """Return the mean share of a user's wanted items that are recommended.

    Users who want nothing do not count.

    Args:
        best: items ``(users, 20)``.
        wanted: who takes what later, ``(users, items)``.
    """
    owner = np.repeat(np.arange(len(best)), best.shape[1])
    hits = np.asarray(wanted[owner, best.ravel()]).reshape(best.shape).sum(1)
    counts = np.diff(wanted.indptr)
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def most_popular(before: sparse.csr_matrix) -> np.ndarray:
    """Return the items ``(users, 20)`` that most users took, without a user's own."""
    most = int(np.diff(before.indptr).max(initial=0))
    order = np.argsort(-popularity(before), kind="stable")[: COUNT + most]
    return without(np.tile(order, (before.shape[0], 1)), before)


def popularity(before: sparse.csr_matrix) -> np.ndarray:
    """Return by how many users each item was taken ``(items,)``."""
    return np.asarray(before.sum(0)).ravel()


@dataclass(frozen=True)
class Als:
    """Settings of ``implicit``'s alternating least squares (Hu, Koren and Volinsky 2008).

    Args:
        factors: dimensions of its vectors.
        regularization: of their lengths.
        alpha: confidence of an interaction; that of none is 1.
        iterations: of solving for users, then for items.
    """

    factors: int = 32
    regularization: float = 1.0
    alpha: float = 5.0
    iterations: int = 15

    def recommend(self, before: sparse.csr_matrix, seed: int = 0) -> np.ndarray:
        """Return the items ``(users, 20)`` that it finds after training on ``before``.

        Raises:
            MissingExtraError: the package is not installed.
        """
        try:
            from implicit.als import AlternatingLeastSquares
        except ImportError:
            raise MissingExtraError("ALS as a baseline", "recommender") from None
        model = AlternatingLeastSquares(**asdict(self), random_state=seed)
        model.fit(before, show_progress=False)
        return recommend(model.user_factors, model.item_factors, before)


GRID = {
    "factors": (16, 32, 64),
    "regularization": (1.0, 10.0, 100.0),
    "alpha": (5.0, 20.0, 80.0),
}
ITERATIONS = (5, 15, 30)  # tried with the best of the grid


def tuned(before: sparse.csr_matrix, wanted: sparse.csr_matrix) -> tuple[Als, float]:
    """Return the settings that recall most of ``wanted``, and that recall.

    They are the best of :data:`GRID`, then the best number of :data:`ITERATIONS` with them.
    """
    scores: dict[Als, float] = {}

    def best_of(settings: Iterable[Als]) -> Als:
        for als in settings:
            if als not in scores:
                scores[als] = recall(als.recommend(before), wanted)
        return max(scores, key=scores.__getitem__)

    best = best_of(grid())
    best = best_of(replace(best, iterations=count) for count in ITERATIONS)
    return best, scores[best]


def grid() -> Iterator[Als]:
    """Yield every setting of :data:`GRID`."""
    for values in itertools.product(*GRID.values()):
        yield Als(**dict(zip(GRID, values, strict=True)))
