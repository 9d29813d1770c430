"""Parts: the encodings of the contract are really used, and anyone can read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow.dataset import dataset

from mmembed.store.column_types import with_fields
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.schema import ERROR_SCHEMA
from mmembed.store.table import EmbeddingTable
from tests.store.parts import PROVENANCE, failure, table_of


@pytest.mark.parametrize("kind", ["float32", "float16", "list"])
def test_vectors_are_split_by_byte_without_a_dictionary(tmp_path: Path, kind: str) -> None:
    part = EmbeddingDataset(tmp_path).commit(
        "part-0.parquet", table_of(300, kind), ERROR_SCHEMA.empty_table()
    )
    group = pq.ParquetFile(part).metadata.row_group(0)
    chunks = {c.path_in_schema: c for c in map(group.column, range(group.num_columns))}
    vectors = chunks["embedding.list.element"]
    assert "BYTE_STREAM_SPLIT" in vectors.encodings
    assert not vectors.has_dictionary_page
    assert "BYTE_STREAM_SPLIT" not in chunks["path"].encodings
    assert {c.compression for c in chunks.values()} == {"ZSTD"}
    assert all(c.has_column_index and c.has_offset_index for n, c in chunks.items() if n == "path")


def test_row_groups_have_25000_rows(tmp_path: Path) -> None:
    table = table_of(60_000, dim=1)
    part = EmbeddingDataset(tmp_path).commit("part-0.parquet", table, ERROR_SCHEMA.empty_table())
    metadata = pq.ParquetFile(part).metadata
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [25_000, 25_000, 10_000]


@pytest.mark.parametrize("kind", ["float32", "float16", "list"])
def test_what_was_written_is_read(tmp_path: Path, kind: str) -> None:
    table = table_of(50, kind)
    EmbeddingDataset(tmp_path).commit("part-0.parquet", table, ERROR_SCHEMA.empty_table())
    rows = EmbeddingTable.open(tmp_path)
    expected = with_fields(table.drop_columns(["embedding"]))
    assert rows.rows.column_names == expected.column_names
    assert rows.rows.to_pylist() == expected.to_pylist()
    exact = np.stack([np.asarray(v, np.float32) for v in table["embedding"].to_pylist()])
    assert rows.vectors.dtype == np.float32
    assert np.array_equal(rows.vectors, exact)
    assert rows.provenance.fingerprint == PROVENANCE.fingerprint


def test_other_tools_open_it_as_it_is(tmp_path: Path) -> None:
    table = table_of(20)
    part = EmbeddingDataset(tmp_path).commit("part-a.parquet", table, failure("b.wav"))
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(part)
    assert list(frame["path"]) == table["path"].to_pylist()
    assert np.stack(frame["embedding"]).shape == (20, 4)
    assert len(pandas.read_parquet(tmp_path)) == 20
    assert dataset(tmp_path).to_table().equals(table)


def test_polars_and_duckdb_open_it_as_it_is(tmp_path: Path) -> None:
    part = EmbeddingDataset(tmp_path).commit(
        "part-a.parquet", table_of(20), ERROR_SCHEMA.empty_table()
    )
    assert pytest.importorskip("polars").read_parquet(part)["embedding"].len() == 20
    query = f"SELECT count(*) FROM '{tmp_path}/part-*.parquet'"
    assert pytest.importorskip("duckdb").sql(query).fetchall() == [(20,)]
