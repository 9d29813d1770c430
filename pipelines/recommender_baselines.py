"""Recommendations and their recall, and what a recommender has to beat: popularity and ALS."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from mmembed.errors import MissingExtraError
from mmembed.neighbors.exact import top_k

COUNT = 20  # items of a recommendation
QUERIES_AT_ONCE = 2_000


@dataclass(frozen=True)
class Recommender:
    """An item's score for a user is the product of their vectors, and a bonus of the item.

    Attributes:
        users: vectors ``(users, dim)``.
        items: vectors ``(items, dim)``.
        bonus: of the items ``(items,)``.
    """

    users: np.ndarray
    items: np.ndarray
    bonus: np.ndarray

    def best(self, seen: sparse.csr_matrix) -> np.ndarray:
        """Return the items ``(users, 20)`` of the largest scores that a user has not taken yet.

        The items get two more dimensions, one that adds their bonus and one that makes all of
        them equally long, so that the nearest by cosine are those of the largest score (Bachrach
        et al. 2014, RecSys, "Speeding up the Xbox recommender system"). Fewer columns where there
        are fewer items, and -1 where a user has taken all others.

        Args:
            seen: who took what, ``(users, items)``.
        """
        squares = (self.items.astype(float) ** 2).sum(1) + self.bonus**2
        longest = max(squares.max(), np.finfo(float).tiny)
        padding = np.sqrt(np.maximum(longest - squares, 0))
        targets = np.column_stack([self.items, self.bonus, padding]) / np.sqrt(longest)
        lengths = np.sqrt((self.users.astype(float) ** 2).sum(1) + 1)
        ones, zeros = np.ones(len(lengths)), np.zeros(len(lengths))
        queries = np.column_stack([self.users, ones, zeros]) / lengths[:, None]
        parts = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            part = slice(start, start + QUERIES_AT_ONCE)
            taken = seen[part]
            most = int(np.diff(taken.indptr).max(initial=0))
            asked = queries[part].astype(np.float32)
            near, _ = top_k(asked, targets.astype(np.float32), COUNT + most)
            parts.append(without(near, taken))
        return np.concatenate(parts)

    def best_among(self, items: np.ndarray) -> np.ndarray:
        """Return the items ``(users, 20)`` of the largest scores among those of some numbers."""
        few = replace(self, items=self.items[items], bonus=self.bonus[items])
        return items[few.best(sparse.csr_matrix((len(self.users), len(items)), dtype=np.float32))]


def without(near: np.ndarray, taken: sparse.csr_matrix) -> np.ndarray:
    """Return the first 20 of each row of ``near`` that the row of ``taken`` lacks, and then -1."""
    owner = np.repeat(np.arange(len(near)), near.shape[1])
    known = np.asarray(taken[owner, near.ravel()]).reshape(near.shape) > 0
    first = np.argsort(known, axis=1, kind="stable")[:, :COUNT]
    return np.take_along_axis(np.where(known, -1, near), first, 1)


def recall(best: np.ndarray, wanted: sparse.csr_matrix) -> float:
    """Return the mean share of a user's wanted items that are recommended.

    Users who want nothing do not count; 0 if nobody wants anything.

    Args:
        best: items ``(users, 20)``, -1 for none.
        wanted: who takes what later, ``(users, items)``.
    """
    owner = np.repeat(np.arange(len(best)), best.shape[1])
    hits = np.asarray(wanted[owner, best.ravel()]).reshape(best.shape)
    hits = np.where(best < 0, 0, hits).sum(1)
    counts = np.diff(wanted.indptr)
    some = counts > 0
    return float((hits[some] / counts[some]).mean()) if some.any() else 0.0


def popularity(before: sparse.csr_matrix) -> np.ndarray:
    """Return by how many users each item was taken ``(items,)``."""
    return np.asarray(before.sum(0)).ravel()


def most_popular(before: sparse.csr_matrix) -> Recommender:
    """Return what recommends to everybody the items that most users took."""
    users, items = before.shape
    return Recommender(np.zeros((users, 1)), np.zeros((items, 1)), popularity(before))


@dataclass(frozen=True)
class Als:
    """Settings of ``implicit``'s alternating least squares (Hu, Koren and Volinsky 2008).

    Args:
        factors: dimensions of its vectors.
        regularization: of their lengths.
        alpha: confidence of an interaction; that of none is 1.
        iterations: of solving for users, then for items.
    """

    factors: int = 16
    regularization: float = 100.0
    alpha: float = 5.0
    iterations: int = 5

    def fit(self, before: sparse.csr_matrix, seed: int = 0) -> Recommender:
        """Return what it learns of ``before``; items that nobody took have vectors of zeros.

        Raises:
            MissingExtraError: the package is not installed.
        """
        try:
            from implicit.als import AlternatingLeastSquares
        except ImportError:
            raise MissingExtraError("ALS as a baseline", "recommender") from None
        with threadpool_limits(1, "blas"):  # it has threads of its own
            model = AlternatingLeastSquares(**asdict(self), random_state=seed)
            model.fit(before, show_progress=False)
        return Recommender(model.user_factors, model.item_factors, np.zeros(before.shape[1]))


GRID = {
    "factors": (8, 16, 32),
    "regularization": (30.0, 100.0, 300.0),
    "alpha": (2.0, 5.0, 10.0),
}
ITERATIONS = (10, 15, 30)  # tried with the best of the grid, which has 5


def tuned(
    before: sparse.csr_matrix, wanted: sparse.csr_matrix, users: np.ndarray
) -> tuple[Als, float]:
    """Return the settings of ALS that recall most, and that recall.

    They are the best of :data:`GRID`, then the best number of :data:`ITERATIONS` with them.

    Args:
        before: who took what, ``(users, items)``; all of it is learnt from.
        wanted: who takes what later, ``(users, items)``.
        users: the recall of these counts.
    """
    scores: dict[Als, float] = {}

    def best_of(settings: Iterable[Als]) -> Als:
        for als in settings:
            learnt = als.fit(before)
            some = replace(learnt, users=learnt.users[users])
            scores[als] = recall(some.best(before[users]), wanted[users])
        return max(scores, key=scores.__getitem__)

    best = best_of(grid())
    best = best_of(replace(best, iterations=count) for count in ITERATIONS)
    return best, scores[best]


def grid() -> Iterator[Als]:
    """Yield every setting of :data:`GRID`."""
    for values in itertools.product(*GRID.values()):
        yield Als(**dict(zip(GRID, values, strict=True)))
