"""The report shows the queries that failed and those that did not, with their results."""

from __future__ import annotations

import numpy as np

from mmembed.evaluation.findings import Direction
from mmembed.evaluation.gallery import RESULTS, SHOWN, choose
from mmembed.evaluation.items import Items
from mmembed.evaluation.retrieval import score


def gallery_of(rng: np.random.Generator, same: bool) -> tuple[Items, Direction]:
    rows = 40
    vectors = rng.normal(size=(rows, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array([str(i) for i in range(rows)], object)
    kinds = np.array(["image"] * rows if same else ["image", "audio"] * (rows // 2), object)
    label = np.array([None if i > 35 else str(i // 2 % 4) for i in range(rows)], object)
    items = Items(vectors, None, names, kinds, label, label, label)
    query, target = kinds == "image", kinds == ("image" if same else "audio")
    keys = items.keys("label")
    found = score(vectors[query], vectors[target], keys[query], keys[target], same=same)
    return items, Direction("label", "image", "image" if same else "audio", found)


def test_worst_and_best_are_ordered_and_marked(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng, same=False)
    gallery = choose(items, direction)
    precision = direction.result.values["mAP"]
    assert gallery.worst[0].precision == precision.min()
    assert gallery.best[0].precision == precision.max()
    for example in (*gallery.worst, *gallery.best):
        assert items.modality[example.query.index] == "image"
        assert len(example.results) == RESULTS
        for result in example.results:
            same_label = items.label[result.index] == items.label[example.query.index]
            assert (items.modality[result.index], result.relevant) == ("audio", same_label)
        scores = items.vectors[example.query.index] @ items.vectors[items.modality == "audio"].T
        shown = [
            float(items.vectors[example.query.index] @ items.vectors[r.index])
            for r in example.results
        ]
        assert np.allclose(shown, np.sort(scores)[::-1][:RESULTS])


def test_one_hard_class_does_not_fill_the_page(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng, same=False)
    for examples in (choose(items, direction).worst, choose(items, direction).best):
        assert len({items.label[e.query.index] for e in examples}) == SHOWN


def test_a_query_is_never_among_its_results(rng: np.random.Generator) -> None:
    items, direction = gallery_of(rng, same=True)
    for example in choose(items, direction).worst:
        assert len(example.results) == RESULTS
        assert example.query.index not in [r.index for r in example.results]
