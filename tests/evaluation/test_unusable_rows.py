"""Rows without a usable vector: scores are those of the dataset without them, and it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.errors import StoreError
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.items import NOTIONS, Items, Pool, read_items
from mmembed.evaluation.results import Evaluation
from mmembed.evaluation.unusable_rows import KINDS, UnusableRows, kinds_of
from mmembed.evaluation.unusable_vectors import usable
from mmembed.store.table import EmbeddingTable, StoredRows

from .conftest import dataset, digits

PART = "part-00000.parquet"
POOLS: tuple[Pool, ...] = ("mean", "max", "moments")
BROKEN: dict[int, list[float] | None] = {
    3: None,
    10: [1.0, 2.0],
    17: [float("nan")] * 8,
    20: [0.0] * 8,
    21: [float("inf"), *[0.0] * 7],
    22: None,
    30: None,
    31: None,
}


def segmented(folder: Path) -> Path:
    """Files of three segments each, in two splits."""
    rows, vectors = [], []
    rng = np.random.default_rng(4)
    for split in ("test", "train"):
        whole, centres = digits(split, 9, rng)
        for row, centre in zip(whole, centres, strict=True):
            for k in range(3):
                times = {"segment_index": k, "start_s": 2.0 * k, "end_s": 2.0 * k + 2}
                rows.append({**row, **times})
                vectors.append(centre + 0.4 * rng.normal(size=8))
    return dataset(folder, rows, np.array(vectors))


def changed(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    part = folder / PART
    pq.write_table(change(pq.read_table(part)), part)
    return folder


def break_rows(rows: pa.Table) -> pa.Table:
    """Put what is no vector into the rows of BROKEN, as other tools do."""
    vectors = rows["embedding"].to_pylist()
    for row, value in BROKEN.items():
        vectors[row] = value
    made = pa.array(vectors, pa.list_(pa.float32()))
    return rows.set_column(rows.schema.get_field_index("embedding"), "embedding", made)


def without_rows(rows: pa.Table) -> pa.Table:
    kept = [row not in BROKEN for row in range(len(rows))]
    return rows.filter(pa.array(kept))


def scores(evaluation: Evaluation) -> list[float]:
    return [
        direction.result.mean(metric)
        for direction in evaluation.directions
        for metric in ("mAP", "R@1", "nDCG@10")
    ] + [c.accuracy for results in evaluation.classification.values() for c in results]


@pytest.mark.parametrize("pool", POOLS)
def test_scores_are_those_of_the_dataset_without_these_rows(pool: Pool, tmp_path: Path) -> None:
    broken = evaluate(changed(segmented(tmp_path / "a"), break_rows), pool=pool)
    fewer = evaluate(changed(segmented(tmp_path / "b"), without_rows), pool=pool)
    assert len(scores(broken)) > 30
    assert scores(broken) == pytest.approx(scores(fewer), abs=1e-12)
    assert broken.items.path.tolist() == fewer.items.path.tolist()
    kinds = {fault.kind for fault in broken.faults} - {fault.kind for fault in fewer.faults}
    assert kinds == {"missing", "length", "nan", "zero"}


def test_a_null_among_whole_files_shifts_nothing(tmp_path: Path) -> None:
    rows, vectors = digits("test", 40, np.random.default_rng(1))

    def null(rows: pa.Table) -> pa.Table:
        made = pa.array([None, *rows["embedding"].to_pylist()[1:]], pa.list_(pa.float32(), 8))
        return rows.set_column(rows.schema.get_field_index("embedding"), "embedding", made)

    broken = evaluate(changed(dataset(tmp_path / "a", rows, vectors), null))
    fewer = evaluate(changed(dataset(tmp_path / "b", rows, vectors), lambda rows: rows.slice(1)))
    assert scores(broken) == pytest.approx(scores(fewer), abs=1e-12)
    assert broken.faults[0].to_dict() == {
        "kind": "missing",
        "count": 1,
        "message": "1 file with missing vectors, left out of the scores: embed it again",
        "examples": ["audio/test-00.wav"],
    }


def test_faults_count_by_kind_and_name_file_and_segment(tmp_path: Path) -> None:
    folder = changed(segmented(tmp_path / "a"), break_rows)
    faults = {f.kind: f for f in evaluate(folder, split="all").faults}
    names = [f"{p} segment {k}" for p, k in paths_and_segments(folder)]
    assert faults["missing"].count == 4
    assert faults["missing"].examples == tuple(names[row] for row in (3, 22, 30, 31))
    assert faults["missing"].message == (
        "4 segments of 3 files with missing vectors, left out of the scores (3 files have other "
        "segments, which count): embed them again"
    )
    assert faults["length"].message == (
        "1 segment of 1 file with vectors of another length, left out of the scores (1 file has "
        "other segments, which count): embed it again"
    )
    assert (faults["nan"].count, faults["zero"].count) == (2, 1)
    moments = {f.kind: f for f in evaluate(folder, split="all", pool="moments").faults}
    assert moments["missing"].message.startswith("4 moments with missing vectors, left out of")
    assert moments["missing"].examples[0].endswith("from 0 s")


def paths_and_segments(folder: Path) -> list[tuple[str, int]]:
    rows = pq.read_table(folder / PART, columns=["path", "segment_index"])
    return list(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))


def test_a_file_is_the_mean_of_its_usable_segments(tmp_path: Path) -> None:
    rows = [
        {"path": path, "modality": "audio", "segment_index": k} for path in "abc" for k in range(3)
    ]
    vectors = np.tile(np.eye(3), (3, 1))
    vectors[1] = np.nan
    vectors[3:6] = [[0, 0, 0], [np.inf, 0, 0], [0, 0, 0]]
    stored = StoredRows(dataset(tmp_path, rows, vectors))
    for pool in ("mean", "max"):
        items = read_items(stored, pool)
        assert items.vectors[0] == pytest.approx([0.5**0.5, 0, 0.5**0.5])
        assert usable(items).tolist() == [True, False, True]
        assert items.vectors[2] == pytest.approx([3**-0.5] * 3)
        assert items.unusable.item.tolist() == [0, 1, 1, 1]
        assert items.unusable.usable.tolist() == [2, 0, 0, 0]
    bags = read_items(stored, "max").segments
    assert bags is not None
    assert bags.starts.tolist() == [0, 2, 3]
    assert np.array_equal(bags.vectors[[0, 1, 3, 4, 5]], np.eye(3)[[0, 2, 0, 1, 2]])
    assert np.array_equal(read_items(EmbeddingTable.open(tmp_path)).vectors[0], items.vectors[0])


def test_unusable_rows_go_with_their_items() -> None:
    kinds = np.array([0, 1, 0, 3, 4, 0], np.uint8)
    rows = UnusableRows.of(kinds, np.array([0, 2, 3, 5]), np.arange(6))
    assert rows.item.tolist() == [0, 2, 2]
    assert rows.segment.tolist() == [1, 3, 4]
    assert (rows.rows.tolist(), rows.usable.tolist()) == ([2, 2, 2], [1, 0, 0])
    chosen = rows.select(np.array([3, 2, 1]), 4)
    assert (chosen.item.tolist(), chosen.kind.tolist()) == ([1, 1], [3, 4])
    assert len(rows.select(np.array([1]), 4)) == len(UnusableRows.none()) == 0
    lengths = np.array([1, np.nan, np.nan, np.inf, 0.0])
    assert kinds_of(np.array([0, 1, 2, 0, 0], np.uint8), lengths).tolist() == [0, *KINDS]


def test_what_is_not_scored_is_said_too(tmp_path: Path) -> None:
    """Of training rows, of the dataset beside, and of prompts."""

    def null(path: str) -> Callable[[pa.Table], pa.Table]:
        def change(rows: pa.Table) -> pa.Table:
            pairs = zip(rows["path"].to_pylist(), rows["embedding"].to_pylist(), strict=True)
            made = pa.array([None if p == path else v for p, v in pairs], pa.list_(pa.float32(), 8))
            return rows.set_column(rows.schema.get_field_index("embedding"), "embedding", made)

        return change

    rng = np.random.default_rng(2)
    test, train = digits("test", 9, rng), digits("train", 9, rng)
    rows, vectors = [*test[0], *train[0]], np.concatenate([test[1], train[1]])
    data = changed(dataset(tmp_path / "a", rows, vectors), null("audio/train-03.wav"))
    other = changed(dataset(tmp_path / "b", rows, vectors), null("image/test-02.png"))
    texts = [{"path": f"{i}.txt", "modality": "text", "label": f"class {i}"} for i in range(3)]
    prompts = dataset(tmp_path / "c", texts, np.random.default_rng(5).normal(size=(3, 8)))
    changed(prompts, null("1.txt"))
    evaluation = evaluate(data, against=other, prompts=prompts)
    assert [(fault.message, fault.examples) for fault in evaluation.faults] == [
        (
            "1 file of other splits with missing vectors, left out of the classifiers and "
            "comparisons: embed it again",
            ("audio/train-03.wav",),
        ),
        (
            f"1 file of the prompts {prompts} with missing vectors, left out of zero-shot "
            "classification: embed it again",
            ("1.txt",),
        ),
        (
            f"1 file of the other dataset, {other} with missing vectors, left out of the "
            "comparison: embed it again",
            ("image/test-02.png",),
        ),
    ]


def test_where_no_vector_remains_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, vectors = digits("test", 4, np.random.default_rng(0))
    good = dataset(tmp_path / "good", rows, vectors)

    def nothing(table: pa.Table) -> pa.Table:
        none = pa.nulls(len(table), pa.list_(pa.float32(), 8))
        return table.set_column(table.schema.get_field_index("embedding"), "embedding", none)

    none = changed(dataset(tmp_path / "none", rows, vectors), nothing)
    words = "none: every vector is missing, of another length, NaN or zero; embed the media again"
    for given in ([none], [good, none]):
        with pytest.raises(StoreError, match=words):
            evaluate(*given[:1], against=given[1] if len(given) > 1 else None)
        assert main(["evaluate", *map(str, given)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_training_rows_without_a_vector_teach_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    test, train = digits("test", 9, rng), digits("train", 9, rng)
    vectors = np.concatenate([test[1], np.full_like(train[1], np.nan)])
    evaluation = evaluate(dataset(tmp_path, [*test[0], *train[0]], vectors))
    assert evaluation.faults[0].message.startswith("27 files of other splits with NaN or infinite")
    assert evaluation.classification["audio"][0].protocol.startswith("3 folds of 9 rows")


def test_columns_that_are_not_there_or_hold_no_words(tmp_path: Path) -> None:
    folder = segmented(tmp_path / "a")
    before = read_items(StoredRows(folder))
    changed(folder, lambda t: t.drop_columns(["segment_index", "start_s", "end_s"]))
    after = read_items(StoredRows(folder))
    assert np.array_equal(after.vectors, before.vectors)
    with pytest.raises(StoreError, match="has no column start_s, which moments need"):
        read_items(StoredRows(folder), "moments")
    far = pa.array([2**62] * 54 * 3, pa.timestamp("ms"))
    changed(folder, lambda t: t.set_column(t.schema.get_field_index("label"), "label", far))
    with pytest.raises(StoreError, match="column label: "):
        read_items(StoredRows(folder))
    numbers = pa.array(range(54 * 3))
    changed(folder, lambda t: t.set_column(t.schema.get_field_index("label"), "label", numbers))
    items: Items = read_items(StoredRows(folder))
    assert all(label.isdigit() for label in items.label)
    assert all(items.keys(notion).min() >= 0 for notion in NOTIONS)
