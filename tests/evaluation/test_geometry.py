"""Numbers about how vectors lie, against cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from mmembed.evaluation.geometry import (
    alignment,
    effective_rank,
    even_sample,
    modality_gap,
    pca_map,
    tsne_map,
    uniformity,
)


def test_effective_rank_counts_equal_directions() -> None:
    assert effective_rank(np.tile(np.eye(4), (5, 1))) == pytest.approx(4)
    assert effective_rank(np.tile(np.eye(4)[:1], (5, 1))) == pytest.approx(1)
    assert np.isnan(effective_rank(np.empty((0, 4))))


def test_gap_and_alignment_of_known_places() -> None:
    first, second = np.array([[1.0, 0], [1, 0]]), np.array([[0, 1.0], [1, 0]])
    assert modality_gap(first, second) == pytest.approx(2**-0.5)
    assert alignment(first, second) == pytest.approx(1.0)
    assert alignment(first, first) == 0


def test_uniformity_is_lower_where_vectors_spread() -> None:
    same, apart = np.tile([[1.0, 0]], (4, 1)), np.array([[1.0, 0], [-1, 0]])
    assert uniformity(same) == pytest.approx(0)
    assert uniformity(apart) == pytest.approx(-8)
    assert np.isnan(uniformity(apart[:1]))


def test_sample_is_even_and_within_bounds() -> None:
    assert even_sample(0, 5).tolist() == []
    assert even_sample(3, 5).tolist() == [0, 1, 2]
    assert even_sample(101, 3).tolist() == [0, 50, 100]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 40])
def test_maps_have_a_finite_place_for_every_vector(rows: int, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(rows, 6))
    for places in (tsne_map(vectors), pca_map(vectors)):
        assert places.shape == (rows, 2)
        assert np.isfinite(places).all()


def test_map_is_the_same_every_time(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(30, 6))
    assert np.array_equal(tsne_map(vectors), tsne_map(vectors))
    assert np.isfinite(tsne_map(np.ones((30, 6)))).all()
