"""Vectors of a column stay in their rows, whatever other rows hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.schema import ERROR_SCHEMA
from mmembed.store.table import EmbeddingTable, StoredRows
from mmembed.store.vectors import MISSING, OTHER_LENGTH, read_vectors, with_direction
from tests.store.parts import PROVENANCE, table_of

FLOATS = (pa.float16(), pa.float32(), pa.float64())
KINDS = [pa.list_(value) for value in FLOATS] + [pa.large_list(value) for value in FLOATS]
FIXED = [pa.list_(value, 3) for value in FLOATS]
NUMBERS = st.lists(st.none() | st.integers(-9, 9), min_size=3, max_size=3)


@given(
    st.lists(st.none() | NUMBERS | st.lists(st.integers(0, 9), max_size=5), max_size=9),
    st.sampled_from(KINDS + FIXED),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_every_row_has_its_vector_or_nan(
    rows: list[list[int | None] | None], kind: pa.DataType, piece: int, skipped: int
) -> None:
    if kind in FIXED:
        rows = [row if row is None or len(row) == 3 else None for row in rows]
    whole = pa.array(
        [None if r is None else [None if x is None else np.float16(x) for x in r] for r in rows],
        pa.list_(pa.float16()),
    ).cast(kind)
    chunks = [whole[low : low + piece] for low in range(0, len(whole), piece)]  # with offsets
    column = pa.chunked_array(chunks, kind).slice(skipped)
    vectors, lack = read_vectors(column, 3)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(column), 3)
    for row, vector, why in zip(rows[skipped:], vectors, lack, strict=True):
        if row is None or len(row) != 3:
            assert np.isnan(vector).all()
            assert why == (MISSING if row is None else OTHER_LENGTH)
        else:
            assert why == 0
            expected = [np.nan if x is None else x for x in row]
            np.testing.assert_array_equal(vector, np.array(expected, np.float32))


def test_what_float32_can_not_hold_is_infinite() -> None:
    column = pa.chunked_array([pa.array([[1e300, 1.0]], pa.list_(pa.float64()))])
    assert read_vectors(column, 2).vectors.tolist() == [[np.inf, 1.0]]


def test_vectors_with_a_direction_are_finite_and_not_zero() -> None:
    vectors = np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 0], [1e-30, 0], [3e38, 3e38]])
    known = with_direction(vectors.astype(np.float32))
    assert known.tolist() == [True, False, False, False, False, True]
    assert with_direction(np.empty((0, 2), np.float32)).shape == (0,)


def write_with(folder: Path, vectors: pa.Array, name: str = "part-0.parquet") -> Path:
    """Write a part whose vectors were put in by another tool."""
    rows = table_of(len(vectors))
    rows = rows.set_column(rows.schema.get_field_index("embedding"), "embedding", vectors)
    folder.mkdir(exist_ok=True)
    pq.write_table(rows, folder / name)
    return folder


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 4), pa.list_(pa.float64())])
def test_a_null_moves_no_vector_to_another_row(kind: pa.DataType, tmp_path: Path) -> None:
    rows: list[list[float] | None] = [[i + 1.0, 0, 0, 0] for i in range(9)]
    rows[2] = None
    rows[7] = [np.nan] * 4
    rows[8] = [0.0] * 4
    write_with(tmp_path, pa.array(rows[:5], kind), "part-0.parquet")
    write_with(tmp_path, pa.array(rows[5:], kind), "part-1.parquet")
    table = EmbeddingTable.open(tmp_path)
    assert np.isnan(table.vectors[[2, 7]]).all()
    kept = [0, 1, 3, 4, 5, 6, 8]
    assert table.vectors[kept].tolist() == [rows[row] for row in kept]
    assert table.unusable == 3
    assert table.select(np.array([1, 2, 8])).unusable == 2
    (block,) = table.select(np.array([1, 2, 8])).blocks()
    assert block.lack.tolist() == [0, MISSING, 0]


def test_ragged_vectors_stay_in_their_rows(tmp_path: Path) -> None:
    rows = [[1.0, 2, 3, 4], [1.0, 2, 3], [], [5.0, 6, 7, 8], [1.0, 2, 3, 4, 5]]
    table = EmbeddingTable.open(write_with(tmp_path, pa.array(rows, pa.list_(pa.float32()))))
    assert table.vectors[[0, 3]].tolist() == [rows[0], rows[3]]
    assert np.isnan(table.vectors[[1, 2, 4]]).all()
    assert table.unusable == 3


def test_rows_and_vectors_have_to_be_as_many(tmp_path: Path) -> None:
    rows = table_of(3).drop_columns(["embedding"])
    for shape in ((2, 4), (4, 4), (3, 5), (12,)):
        with pytest.raises(StoreError, match="3 rows of 4 numbers can't have vectors"):
            EmbeddingTable(rows, np.zeros(shape, np.float32), PROVENANCE)
    assert EmbeddingTable(rows, np.zeros((3, 4), np.float32), PROVENANCE).unusable == 3


def test_a_part_that_changes_between_footer_and_rows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmbeddingDataset(tmp_path).commit("part-0.parquet", table_of(3), ERROR_SCHEMA.empty_table())
    stored = StoredRows(tmp_path)
    EmbeddingDataset(tmp_path).commit("part-0.parquet", table_of(4), ERROR_SCHEMA.empty_table())
    with pytest.raises(StoreError, match="part-0.parquet: was written again while it was being"):
        list(stored.blocks())
    (tmp_path / "part-0.parquet").unlink()
    with pytest.raises(StoreError, match="part-0.parquet: can't be read: it is gone"):
        list(stored.blocks())


def test_a_dimension_is_a_number_of_the_metadata(tmp_path: Path) -> None:
    """Rows whose vectors are all of another length are refused by no one but who scores them."""
    write_with(tmp_path, pa.array([[1.0, 2]] * 3, pa.list_(pa.float32())))
    table = EmbeddingTable.open(tmp_path)
    said = json.loads(pq.read_schema(tmp_path / "part-0.parquet").metadata[b"mmembed"])
    assert table.vectors.shape == (3, said["dim"])
    assert table.unusable == 3
