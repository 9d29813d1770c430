"""Rows become unit vectors, and those that belong together are summed."""

from __future__ import annotations

import numpy as np

from mmembed.evaluation.vectors import members, unit


def test_rows_have_length_one_and_zero_stays_zero(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(5, 7)).astype(np.float32)
    vectors[2] = 0
    lengths = np.linalg.norm(unit(vectors), axis=1)
    assert np.allclose(lengths, [1, 1, 0, 1, 1], atol=1e-12)


def test_the_rows_of_a_code_are_summed(rng: np.random.Generator) -> None:
    vectors, codes = rng.normal(size=(9, 4)), np.array([3, 0, 3, 1, 1, 0, 3, 3, 0])
    expected = np.stack([vectors[codes == code].sum(0) for code in range(5)])
    assert np.allclose(members(codes, 5) @ vectors, expected)
