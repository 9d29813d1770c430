"""Reading: rows stay with their vectors, and what must not be mixed is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.dataset_files import part_files
from mmembed.store.provenance import Provenance
from mmembed.store.rows import rows_table
from mmembed.store.schema import ERROR_SCHEMA, row_schema
from mmembed.store.table import EmbeddingTable, read_errors


def write(
    folder: Path, name: str, paths: list[str], fingerprint: str = "a" * 32, **carried: list
) -> None:
    provenance = Provenance(fingerprint, "space-" + fingerprint[0], 2, "media")
    columns = {"path": paths, "modality": ["image"] * len(paths)}
    rest = ("segment_index", "start_s", "end_s", "size", "mtime_ns")
    columns |= {n: [None] * len(paths) for n in rest}
    others = pa.table({n: pa.array(v, pa.string()) for n, v in carried.items()} or {"_": []})
    schema = row_schema(provenance, {n: pa.string() for n in carried})
    vectors = np.array([[ord(p[0]), 1] for p in paths], np.float32).reshape(-1, 2)
    others = others if carried else pa.table({"_": pa.nulls(len(paths))})
    table = rows_table(columns, vectors, others, schema)
    EmbeddingDataset(folder).commit(name, table, ERROR_SCHEMA.empty_table())


def test_rows_and_vectors_stay_together_over_parts(tmp_path: Path) -> None:
    write(tmp_path, "part-b.parquet", ["d", "b"], label=["x", None])
    write(tmp_path, "part-a.parquet", ["c", "a"], label=["y", "z"])
    write(tmp_path, "part-c.parquet", [], label=[])
    table = EmbeddingTable.open(tmp_path)
    assert list(table.column("path")) == ["a", "c", "b", "d"]
    assert [chr(int(v)) for v in table.vectors[:, 0]] == ["a", "c", "b", "d"]
    assert list(table.column("label")) == ["z", "y", None, "x"]
    chosen = table.select(table.column("path") > "b")
    assert list(chosen.column("path")) == ["c", "d"]
    assert [chr(int(v)) for v in chosen.vectors[:, 0]] == ["c", "d"]
    assert list(table.select(np.array([3, 0])).column("path")) == ["d", "a"]
    assert (len(table), table.fingerprint, table.source) == (4, "a" * 32, "media")


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, "part-a.parquet", ["a"], label=["x"], group=["g"])
    columns = ["id", "path", "modality", "field", "group"]
    assert EmbeddingTable.open(tmp_path, ["group"]).columns == columns
    with pytest.raises(StoreError, match="no column colour; there are id, path"):
        EmbeddingTable.open(tmp_path).column("colour")


def test_parts_of_different_spaces_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "part-a.parquet", ["a"])
    write(tmp_path, "part-b.parquet", ["b"], fingerprint="b" * 32)
    with pytest.raises(
        StoreError, match=r"part-b.parquet: made by space space-b \(bbbbbbbb\), but .*part-a"
    ):
        EmbeddingTable.open(tmp_path)


def test_one_part_can_be_opened(tmp_path: Path) -> None:
    write(tmp_path, "part-a.parquet", ["a", "b"])
    assert len(EmbeddingTable.open(tmp_path / "part-a.parquet")) == 2


def test_what_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file or folder"):
        part_files(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="no part-.*Run `mmembed embed` first"):
        EmbeddingTable.open(tmp_path)
    (tmp_path / "part-a.parquet").write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="part-a.parquet: not a Parquet file that can be read"):
        EmbeddingTable.open(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "part-a.parquet")
    with pytest.raises(StoreError, match="not an embedding dataset of mmembed"):
        EmbeddingTable.open(tmp_path)
    write(tmp_path, "part-a.parquet", ["a", "b"])
    whole = (tmp_path / "part-a.parquet").read_bytes()
    (tmp_path / "part-a.parquet").write_bytes(b"PAR1" + b"\0" * 400 + whole[404:])
    with pytest.raises(StoreError, match="part-a.parquet: can't be read"):
        EmbeddingTable.open(tmp_path)


def test_metadata_of_another_version_is_refused() -> None:
    text = Provenance("a", "s", 2).to_json()
    with pytest.raises(StoreError, match="x: store format 9 is not 1; embed it again"):
        Provenance.from_json(text.replace('"format": 1', '"format": 9'), "x")
    for broken in ("{", "[]", b"\xff"):
        with pytest.raises(StoreError, match="x: its mmembed metadata can't be read"):
            Provenance.from_json(broken, "x")


def test_no_errors_is_an_empty_table(tmp_path: Path) -> None:
    write(tmp_path, "part-a.parquet", ["a"])
    assert read_errors(tmp_path).schema == ERROR_SCHEMA
    assert len(read_errors(tmp_path)) == 0
