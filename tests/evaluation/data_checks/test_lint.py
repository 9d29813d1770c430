"""Sentences of the lint: every kind of fault, and what is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.evaluation.data_checks.answerable import QueryCount, lint_qrels, lint_relevance
from mmembed.evaluation.data_checks.captions import fold, has_word
from mmembed.evaluation.data_checks.data_fault import DataFault, counted
from mmembed.evaluation.data_checks.lint import lint, usable
from mmembed.evaluation.items import Items
from mmembed.store.table import EmbeddingTable

from ..conftest import dataset, digits
from .flawed_items import Shape, changed, make_items, unit


@pytest.fixture
def clean(rng: np.random.Generator) -> Items:
    return make_items(
        unit(rng.normal(size=(12, 16))),
        label=[str(i % 3) for i in range(12)],
        group=[f"g{i}" for i in range(12)],
        split=["train"] * 6 + ["test"] * 6,
    )


@pytest.fixture
def texts(rng: np.random.Generator) -> Items:
    return make_items(
        unit(rng.normal(size=(8, 16))),
        field=["image"] * 4 + ["text"] * 4,
        text=[None] * 4 + ["a dog", "a cat", "Straße", "🐶"],
        group=["a", "b", "c", "d"] * 2,
    )


def test_clean_data_has_no_fault(clean: Items, texts: Items) -> None:
    assert lint(clean, clean) == []
    assert lint(texts, texts) == []
    assert usable(clean).all()


@pytest.mark.parametrize(
    ("field", "rows", "value", "said"),
    [
        (
            "vectors",
            [0],
            np.nan,
            "1 file with NaN or infinite vectors, left out of the scores: embed it again",
        ),
        (
            "vectors",
            [0, 4],
            np.inf,
            "2 files with NaN or infinite vectors, left out of the scores: embed them again",
        ),
        ("vectors", [2], 0.0, "1 file with zero vectors, left out of the scores: embed it again"),
        (
            "label",
            [0, 1],
            None,
            "2 files without a label, relevant to nothing by label: give them one, or leave the "
            "label out",
        ),
        (
            "group",
            [3],
            None,
            "1 file without a group, relevant to nothing by group: give it one, or leave the "
            "group out",
        ),
        (
            "group",
            [0, 11],
            "same",
            "1 group in more than one split (such as same), so the scores leak: split by group",
        ),
        (
            "vectors",
            [0, 1, 2],
            np.eye(16)[0],
            "2 image files of 12 with the very vector of another, 2 with another label or group: "
            "remove what is there twice, or each counts again and ties with its copy",
        ),
        (
            "vectors",
            [0, 11],
            np.eye(16)[0],
            "1 image file with nearly the vector of one in another split, so the scores leak: "
            "keep copies in one split, or remove them",
        ),
    ],
)
def test_a_fault_says_what_to_do(
    clean: Items, field: str, rows: list[int], value: object, said: str
) -> None:
    broken = changed(clean, field, rows, value)
    scored = broken if rows != [0, 11] else broken.select(broken.split == "test")
    assert [str(fault) for fault in lint(scored, broken)] == [said]


def test_moments_are_called_moments_and_those_of_one_file_may_repeat(clean: Items) -> None:
    times = np.arange(12.0)
    moments = replace(clean, start=times, end=times + 1, path=clean.path[[0, 0, *range(2, 12)]])
    silent = changed(moments, "vectors", [0, 1], np.eye(16)[0])
    assert lint(silent, silent) == []
    broken = changed(moments, "vectors", [3], np.nan)
    assert lint(broken, broken)[0].message.startswith("1 moment with NaN or infinite vectors")


def test_broken_vectors_are_not_usable(clean: Items) -> None:
    broken = changed(changed(clean, "vectors", [3], np.nan), "vectors", [5], 0.0)
    assert np.flatnonzero(~usable(broken)).tolist() == [3, 5]


def test_collapse_is_one_alarm(clean: Items, rng: np.random.Generator) -> None:
    point = np.tile(np.eye(16)[0], (12, 1))
    line = np.outer(np.tile([1.0, -1, 1], 4), point[0]) + 1e-3 * rng.normal(size=(12, 16))
    for vectors in (point, unit(point + 1e-3 * rng.normal(size=(12, 16))), unit(line)):
        broken = replace(clean, vectors=vectors.astype(np.float32))
        faults = lint(broken, broken)
        assert [(fault.kind, fault.count) for fault in faults] == [("collapsed", 12)]
        assert faults[0].message.startswith("the image vectors have collapsed: effective rank 1.0")
        assert faults[0].message.endswith(
            "they say little of the media, so check that trained weights were loaded, or train at "
            "a lower rate"
        )


def test_a_narrow_cone_of_high_rank_is_a_collapse(rng: np.random.Generator) -> None:
    wide = unit(rng.normal(size=(600, 512)))
    cone = unit(np.eye(512)[:1] + 0.09 * wide)
    faults = lint(make_items(cone), make_items(cone))
    assert [fault.kind for fault in faults] == ["collapsed"]
    assert "effective rank 93.99, mean cosine 0.9920" in faults[0].message  # not the rank tells


def test_healthy_spaces_are_no_collapse(rng: np.random.Generator) -> None:
    opposite = np.repeat([1.0, -1], 20)[:, None] * np.eye(16)[0]
    rare = np.eye(16)[[0] * 99 + [1]]
    for centres in (opposite, rare):
        vectors = unit(centres + 1e-2 * rng.normal(size=centres.shape))
        labels = ["a" if row[0] > 0.5 else "b" for row in vectors]
        items = make_items(vectors, label=labels)
        assert lint(items, items) == []
    gap = Shape(cosine=0.999, classes=10, things=100).make(0)
    assert lint(gap, gap) == []


@pytest.mark.parametrize(
    "caption", ["", "   ", "\t\n", "?!…", "-", "=", None, "nan", "None", "N/A", "\u200b"]
)
def test_a_query_without_a_word_is_empty(texts: Items, caption: str | None) -> None:
    broken = changed(texts, "text", [5], caption)
    faults = lint(broken, broken)
    assert [(fault.kind, fault.count, fault.examples) for fault in faults] == [
        ("empty-query", 1, ("000005.bin",))
    ]
    assert faults[0].message == (
        "1 text query without a word (empty, blank, punctuation, or a placeholder such as nan), "
        "which nothing can answer: write the caption, or remove the row"
    )


@pytest.mark.parametrize("caption", ["null", "7", "猫", "½", "Nan", "a"])
def test_a_short_query_is_not_empty(texts: Items, caption: str) -> None:
    short = changed(texts, "text", [5], caption)
    assert lint(short, short) == []


def test_texts_that_are_not_in_the_dataset_are_not_judged(texts: Items) -> None:
    bare = changed(texts, "text", slice(None), None)
    assert lint(bare, bare) == []


@pytest.mark.parametrize("caption", ["a dog", "A  DOG ", "ａ ｄｏｇ", "a\u00a0dog"])
def test_a_repeated_query_is_named_once(texts: Items, caption: str) -> None:
    broken = changed(changed(texts, "text", [5], caption), "vectors", 5, texts.vectors[4])
    faults = lint(broken, broken)
    assert [str(fault) for fault in faults] == [
        "1 of 4 text queries with the words of another, 1 with another label or group: merge them "
        "into one, or each counts again"
    ]
    assert faults[0].examples == ("000004.bin", "000005.bin")
    same = changed(broken, "group", [5], "a")
    assert "with the words of another: merge" in lint(same, same)[0].message


def test_other_words_with_the_same_vector_are_a_repeat(texts: Items) -> None:
    broken = changed(texts, "vectors", 5, texts.vectors[4])
    assert [fault.kind for fault in lint(broken, broken)] == ["repeated"]


def test_captions_may_repeat_across_splits_beside_media(texts: Items) -> None:
    split = np.array(["train", "test"] * 4, object)
    names = replace(texts, split=split, vectors=texts.vectors[[0, 1, 2, 3, 4, 4, 6, 6]])
    names = changed(names, "text", [4, 5, 6, 7], ["one", "one", "two", "two"])
    assert lint(names.select(split == "test"), names) == []


def test_a_whole_modality_without_a_key_is_no_fault(texts: Items) -> None:
    labelled = changed(texts, "label", slice(0, 4), "x")
    assert lint(labelled, labelled) == []


def test_media_without_a_partner_are_no_fault_where_labels_answer_all() -> None:
    pairs = QueryCount("image → audio", "group", 900, 450)
    assert lint_relevance([QueryCount("image → audio", "label", 900, 0), pairs]) == []
    (alone,) = lint_relevance([QueryCount("image → audio", "label", 900, 1), pairs])[1:]
    assert (alone.kind, alone.count) == ("unanswerable", 450)
    assert [f.count for f in lint_relevance([pairs])] == [450]


def test_unanswerable_queries_are_counted_by_direction() -> None:
    asked = [
        QueryCount("image → audio", "label", 40, 1, ["a.png"]),
        QueryCount("audio → image", "label", 40, 0),
        QueryCount("image → video", "label", 7, 7, ["a.png", "b.png"]),
        QueryCount("image → audio", "group", 40, 40),
    ]
    faults = lint_relevance(asked)
    assert [fault.to_dict() for fault in faults] == [
        {
            "kind": "unanswerable",
            "count": 1,
            "message": "image → audio: nothing relevant by label to 1 of 40 queries, left out of "
            "the scores: add what answers them, or remove them",
            "examples": ["a.png"],
        },
        {
            "kind": "nothing-relevant",
            "count": 7,
            "message": "image → video: nothing relevant by label to any of 7 queries, so nothing "
            "is scored there: check that both sides write it alike",
            "examples": ["a.png", "b.png"],
        },
    ]
    judged = lint_relevance([*asked, QueryCount("image → audio", "qrels", 3, 3)])
    assert [fault.count for fault in judged] == [1, 7, 3]


@pytest.mark.parametrize("asked", [[], [QueryCount("image → audio", "group", 5, 5)]])
def test_data_without_any_key_is_named_once(asked: list[QueryCount]) -> None:
    (fault,) = lint_relevance(asked)
    assert fault.kind == "nothing-relevant"
    assert fault.message == (
        "nothing says which files belong together (no two share a label or a group, and no "
        "judgement joins two), so no retrieval can be scored: give the media such a column"
    )


def test_judged_ids_that_are_not_there_are_named() -> None:
    assert lint_qrels([], []) == []
    faults = lint_qrels(["a", "b", "a"], [f"t{i}" for i in range(1200)])
    advice = (
        "of the qrels not in the dataset: judge what was embedded, or embed what was judged "
        "(ids are the paths of the dataset)"
    )
    assert faults == [
        DataFault("unknown-id", 2, f"2 queries {advice}", ("a", "b")),
        DataFault("unknown-id", 1200, f"1,200 targets {advice}", ("t0", "t1", "t2", "t3", "t4")),
    ]


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_mixed_fingerprints_are_refused(tmp_path: Path, parts: int) -> None:
    rows, vectors = digits("test", 3, np.random.default_rng(0))
    folder = dataset(tmp_path, rows, vectors)
    part = pq.read_table(folder / "part-00000.parquet")
    for i in range(1, parts):
        made_by = (part.schema.metadata or {})[b"mmembed"]
        if i == parts - 1:
            made_by = made_by.replace(b"ab" * 16, b"cd" * 16)
        other = part.replace_schema_metadata({b"mmembed": made_by})
        pq.write_table(other, folder / f"part-{i:05d}.parquet")
    with pytest.raises(StoreError, match="their vectors can't be mixed"):
        EmbeddingTable.open(folder)


@given(st.text(), st.sampled_from(["", " ", "\n", " \t"]))
def test_folding_a_text_twice_changes_nothing(text: str, space: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(space + text + space) == fold(text)
    assert not has_word("".join(islice(cycle(" .,-!?"), len(text))))


def test_counts_are_written_as_people_do() -> None:
    assert [counted(n, "query") for n in (1, 2)] == ["1 query", "2 queries"]
    assert [counted(n, "file") for n in (1, 1234)] == ["1 file", "1,234 files"]
