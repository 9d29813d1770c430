"""Hashes of ids: the same everywhere, spread evenly, and those that collide are counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.preprocess import category as module
from mmembed.preprocess.category import MOST_BUCKETS, CategoryPreprocess
from tests.preprocess.test_category import TAGS, cell, fitted, values

HASHED = """
import json
from mmembed.media.file import MediaFile
from mmembed.preprocess.category import CategoryPreprocess
hashed = CategoryPreprocess(buckets=1_000_003)
item = MediaFile.of_cell("", "category", json.dumps(["u17", "ä", "\\ud800", "17"]))
print(hashed(hashed.load(item)).tolist())
"""
ROWS = [
    [783310.0, 13175.0, 1.0],
    [510996.0, 135438.0, 1.0],
    [902868.0, 978340.0, 1.0],
    [740621.0, 850256.0, 1.0],
]


def test_hashes_are_the_same_on_every_machine() -> None:
    """The rows are those that they were, in a process of any seed: trained weights depend on it."""
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", HASHED], env=environment, capture_output=True, text=True
        )
        assert (done.stdout.strip(), done.stderr) == (str(ROWS), "")


@settings(deadline=None)
@given(st.lists(TAGS, min_size=1, max_size=20), st.integers(1, MOST_BUCKETS))
def test_hashes_fall_into_the_buckets(tags: list[str], buckets: int) -> None:
    preprocess = CategoryPreprocess(buckets=buckets)
    made = preprocess(preprocess.load(cell(tags)))
    assert made.shape == (len(tags), 3)
    assert made[:, :2].min() >= 2
    assert made[:, :2].max() < preprocess.rows == buckets + 2
    assert (made[:, 2] == 1).all()


def test_the_two_hashes_are_spread_evenly_and_independent() -> None:
    buckets, count = 16, 32_000
    preprocess = CategoryPreprocess(buckets=buckets, most_tags=count)
    made = preprocess(preprocess.load(cell([f"u{i}" for i in range(count)])))
    first, second = made[:, 0].astype(int) - 2, made[:, 1].astype(int) - 2
    pairs = np.bincount(first * buckets + second, minlength=buckets**2)
    expected = count / buckets**2
    chi_squared = ((pairs - expected) ** 2 / expected).sum()
    assert abs(chi_squared - (buckets**2 - 1)) < 5 * np.sqrt(2 * buckets**2)


@settings(deadline=None)
@given(st.sets(TAGS, min_size=1, max_size=40), st.integers(1, 30))
def test_ids_that_share_both_rows_are_counted(ids: set[str], buckets: int) -> None:
    preprocess = CategoryPreprocess(buckets=buckets)
    pairs = Counter(frozenset(row[:2]) for row in values(preprocess, sorted(ids)))
    shared = sum(count for count in pairs.values() if count > 1)
    assert module._collisions(ids, buckets).startswith(f"{shared:,} of {len(ids):,} ids share")


def test_collisions_of_the_training_are_said_once(capsys: pytest.CaptureFixture) -> None:
    items = [[f"u{i}", f"u{i + 1}"] for i in range(999)]
    hashed = fitted(items, buckets=10)
    assert hashed == CategoryPreprocess(buckets=10)
    assert capsys.readouterr().err == (
        "category: 1,000 of 1,000 ids share both rows with another id and can't be told from it "
        "(10 buckets; more buckets, fewer of them)\n"
    )
    fitted(items, buckets=1_000_000)
    assert capsys.readouterr().err.startswith("category: 0 of 1,000 ids share")
