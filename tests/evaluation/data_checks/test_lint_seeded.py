"""Faults planted in clean datasets of many kinds are found, with their number; clean ones pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mmembed.evaluation.data_checks.answerable import lint_qrels, lint_relevance
from mmembed.evaluation.data_checks.data_fault import DataFault
from mmembed.evaluation.data_checks.lint import lint
from mmembed.evaluation.items import Items

from .flawed_items import SHAPES, asked_by_key, changed, unit

Expected = list[tuple[str, int]]
Planted = tuple[Items, Expected]
SEEDS = (1, 2)
AMOUNTS = (1, 3, 7)


def scored(items: Items) -> Items:
    return items.select(items.split == "test") if (items.split == "test").any() else items


def all_faults(items: Items) -> list[DataFault]:
    return [*lint(scored(items), items), *lint_relevance(asked_by_key(scored(items)))]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_clean_data_raises_no_alarm(shape: str, seed: int) -> None:
    items = SHAPES[shape].make(seed)
    assert all_faults(items) == []
    assert lint(items, items) == []


def rows_of(items: Items, split: str, modality: str) -> np.ndarray:
    rows = np.flatnonzero((items.split == split) & (items.field == modality))
    return rows if len(rows) else np.flatnonzero(items.field == modality)


def plant_nan(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    rows = rng.choice(rows_of(items, "test", next(iter(items.fields))), amount, replace=False)
    vectors = items.vectors.copy()
    vectors[rows, rng.integers(0, vectors.shape[1], amount)] = rng.choice([np.nan, np.inf])
    return replace(items, vectors=vectors), [("nan", amount)]


def plant_zero(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    rows = rng.choice(rows_of(items, "test", next(iter(items.fields))), amount, replace=False)
    return changed(items, "vectors", rows, 0.0), [("zero", amount)]


def plant_collapse(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    modality = list(items.fields)[-1]
    rows = np.flatnonzero(items.field == modality)
    point = unit(rng.normal(size=items.vectors.shape[1]))
    width = {1: 0.0, 3: 1e-4, 7: 0.09}[amount]
    noise = unit(rng.normal(size=(len(rows), len(point))))
    broken = changed(items, "vectors", rows, unit(point + width * noise))
    return broken, [("collapsed", len(rows_of(items, "test", modality)))]


def plant_repeats(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    rows = rng.permutation(rows_of(items, "test", next(iter(items.fields))))[: amount + 1]
    return changed(items, "vectors", rows[1:], items.vectors[rows[0]]), [("repeated", amount)]


def plant_empty(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    rows = rng.choice(rows_of(items, "test", "text"), amount, replace=False)
    given = [rng.choice(["", " ", "...", "?!", "nan", "\u3000"]) for _ in rows]
    return changed(items, "text", rows, given), [("empty-query", amount)]


def plant_same_words(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    rows = rng.permutation(rows_of(items, "test", "text"))
    old, new = rows[:amount], rows[amount : 2 * amount]
    written = [f" {text.upper()} ".replace(" ", " " * amount) for text in items.text[old]]
    items = changed(items, "text", new, written)
    same_model = changed(items, "vectors", new, items.vectors[old])
    return same_model, [("duplicate-query", amount)]


def plant_unlabelled(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    amount = min(amount, 2)  # or a class may lose all its targets, which is another fault
    rows = rng.choice(rows_of(items, "test", next(iter(items.fields))), amount, replace=False)
    return changed(items, "label", rows, None), [("unlabelled", amount)]


def plant_leaks(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    things = rng.choice(np.unique(items.group[items.split == "test"].astype(str)), amount, False)
    homes = rng.choice(np.unique(items.group[items.split == "train"].astype(str)), amount, False)
    renamed = dict(zip(things, homes, strict=True))
    group = np.array([renamed.get(name, name) for name in items.group], object)
    return replace(items, group=group), [("split-leak", amount)]


def plant_copies(noise: float) -> Callable[[Items, np.random.Generator, int], Planted]:
    def plant(items: Items, rng: np.random.Generator, amount: int) -> Planted:
        modality = next(iter(items.fields))
        new = rng.choice(rows_of(items, "test", modality), amount, replace=False)
        old = rng.choice(rows_of(items, "train", modality), amount, replace=False)
        changes = noise * unit(rng.normal(size=(amount, items.vectors.shape[1])))
        copies = unit(items.vectors[old] + changes) if noise else items.vectors[old]
        return changed(items, "vectors", new, copies), [("near-duplicate", amount)]

    return plant


def plant_unanswerable(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    amount = min(amount, 2)
    rows = rng.choice(rows_of(items, "test", next(iter(items.fields))), amount, replace=False)
    directions = max(1, len(items.fields) - 1)
    labels = [f"nowhere {i}" for i in range(amount)]
    return changed(items, "label", rows, labels), [("unanswerable", amount)] * directions


def plant_other_spelling(items: Items, rng: np.random.Generator, amount: int) -> Planted:
    rows = np.flatnonzero(items.field == next(iter(items.fields)))
    spelt = changed(items, "label", rows, [f"{label}?" for label in items.label[rows]])
    if len(items.fields) == 2:  # nothing matches by label anywhere: groups are what answers
        return spelt, []
    asked = scored(items)
    counts = [(asked.field == m).sum() for m in asked.fields]
    others = len(items.fields) - 1
    directions = [counts[0]] * others + [int(count) for count in counts[1:]]
    return spelt, [("nothing-relevant", int(count)) for count in directions]


PLANTS: dict[str, tuple[Callable[[Items, np.random.Generator, int], Planted], list[str]]] = {
    "nan": (plant_nan, ["random", "clustered", "one modality", "texts", "no splits"]),
    "zero": (plant_zero, ["random", "many", "three modalities", "no labels"]),
    "collapsed": (plant_collapse, ["random, wide", "three modalities, clustered", "many"]),
    "repeated": (plant_repeats, ["random", "tightly clustered", "many, clustered", "no groups"]),
    "empty": (plant_empty, ["texts", "texts, clustered", "texts alone"]),
    "same words": (plant_same_words, ["texts", "texts, clustered", "texts alone"]),
    "unlabelled": (plant_unlabelled, ["random", "three modalities", "many"]),
    "leak": (plant_leaks, ["random", "three modalities", "many, clustered", "texts"]),
    "exact copy": (plant_copies(0.0), ["random", "few, clustered", "tighter still", "many"]),
    "near copy": (plant_copies(1e-4), [*list(SHAPES)[:6], "few", "many, clustered", "two classes"]),
    "copy": (plant_copies(1e-3), [*list(SHAPES)[:6], "many", "three splits", "no groups"]),
    "unanswerable": (plant_unanswerable, ["random", "one modality", "three modalities"]),
    "spelling": (plant_other_spelling, ["three modalities", "three modalities, clustered"]),
}


@cache
def outcome(plant: str) -> tuple[int, list[str]]:
    """Return how many datasets had that fault planted, and where it was not told as it is."""
    tried, missed = 0, []
    put, shapes = PLANTS[plant]
    for shape in shapes:
        for seed in SEEDS:
            for amount in AMOUNTS:
                rng = np.random.default_rng([seed, amount])
                clean = SHAPES[shape].make(seed)
                room = len(rows_of(clean, "test", list(clean.fields)[-1])) // 2
                items, expected = put(clean, rng, min(amount, max(1, room - 1)))
                faults = [(fault.kind, fault.count) for fault in all_faults(items)]
                tried += 1
                if Counter(faults) != Counter(expected):
                    missed.append(f"{shape}, seed {seed}: {expected}, but found {faults}")
    return tried, missed


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found_with_its_number_and_nothing_else(plant: str) -> None:
    tried, missed = outcome(plant)
    assert len(missed) <= 0.1 * tried, missed


def test_of_all_planted_faults_nearly_all_are_found() -> None:
    outcomes = [outcome(plant) for plant in PLANTS]
    tried = sum(count for count, _ in outcomes)
    missed = [each for _, some in outcomes for each in some]
    assert tried >= 100
    assert len(missed) <= 0.05 * tried, missed


@pytest.mark.parametrize("amount", [1, 5, 400])
def test_every_unknown_id_is_counted(amount: int) -> None:
    ids = [f"gone-{i}" for i in range(amount)]
    faults = [*lint_qrels(ids, []), *lint_qrels([], ids)]
    assert [(fault.kind, fault.count) for fault in faults] == [("unknown-id", amount)] * 2
