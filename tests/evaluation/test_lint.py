"""Seeded faults are named, and clean data is left in peace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmembed.evaluation.items import Items
from mmembed.evaluation.lint import lint, usable


@pytest.fixture
def clean(rng: np.random.Generator) -> Items:
    vectors = rng.normal(size=(12, 6)).astype(np.float32)
    names = np.array([f"{i}.png" for i in range(12)], object)
    return Items(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        None,
        path=names,
        modality=np.array(["image"] * 12, object),
        label=np.array([str(i % 3) for i in range(12)], object),
        group=names,
        split=np.array(["train"] * 6 + ["test"] * 6, object),
    )


def changed(items: Items, field: str, rows: list[int], value: object) -> Items:
    values = getattr(items, field).copy()
    values[rows] = value
    return replace(items, **{field: values})


def test_clean_data_has_no_fault(clean: Items) -> None:
    assert lint(clean, clean) == []
    assert usable(clean).all()


@pytest.mark.parametrize(
    ("field", "rows", "value", "said"),
    [
        ("vectors", [0], np.nan, ["1 file with NaN or infinite vectors, left out of the scores"]),
        ("vectors", [0, 4], np.inf, ["2 files with NaN or infinite vectors, left out of"]),
        ("vectors", [2], 0.0, ["1 file with zero vectors, left out of the scores"]),
        ("label", [0, 1], None, ["2 files without a label"]),
        ("group", [0, 11], "same", ["1 groups are in more than one split: the scores leak"]),
        ("vectors", [0, 1, 2], np.eye(6)[0], ["2 files of 12 image repeat another vector"]),
    ],
)
def test_a_seeded_fault_is_named(
    clean: Items, field: str, rows: list[int], value: object, said: list[str]
) -> None:
    broken = changed(clean, field, rows, value)
    found = lint(broken, broken)
    assert len(found) == len(said)
    assert all(f.startswith(s) for f, s in zip(found, said, strict=True)), found


def test_broken_vectors_are_not_usable(clean: Items) -> None:
    broken = changed(changed(clean, "vectors", [3], np.nan), "vectors", [5], 0.0)
    assert np.flatnonzero(~usable(broken)).tolist() == [3, 5]


def test_collapse_is_an_alarm(clean: Items, rng: np.random.Generator) -> None:
    near = np.eye(6)[:1] + 1e-3 * rng.normal(size=(12, 6))
    found = lint(replace(clean, vectors=near.astype(np.float32)), clean)
    assert found[0].startswith("the image vectors have collapsed: effective rank 1.0")


def test_data_without_any_key_is_named_once(clean: Items) -> None:
    bare = changed(changed(clean, "label", list(range(12)), None), "group", list(range(12)), None)
    assert lint(bare, bare) == ["no labels and no groups: nothing says which files belong together"]
