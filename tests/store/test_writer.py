"""Parts: the encodings of the contract are really used, and a file is whole or not there."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.dataset import dataset

from mmembed.errors import StoreError
from mmembed.store.schema import ERROR_SCHEMA, Provenance, row_id, row_ids, row_schema
from mmembed.store.table import EmbeddingTable, read_errors
from mmembed.store.writer import (
    errors_table,
    read_card_text,
    remove_leftovers,
    remove_part,
    rows_table,
    write_card,
    write_part,
)

PROVENANCE = Provenance("f" * 32, "tiny", 4, "media", {"precision": "fp32"})
LABEL = {"label": pa.string()}


def table_of(
    count: int, kind: str = "float32", dim: int = 4, carried: dict[str, pa.DataType] = LABEL
) -> pa.Table:
    rng = np.random.default_rng(count)
    vectors = rng.normal(size=(count, dim)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    columns = {
        "path": [f"{i * 7919 % (count or 1):05}.wav" for i in range(count)],
        "modality": ["audio"] * count,
        "segment_index": [0] * count,
        "start_s": [0.0] * count,
        "end_s": [1.5] * count,
        "size": list(range(count)),
        "mtime_ns": [10**18 + i for i in range(count)],
    }
    others = pa.table({n: pa.array([f"{i}" for i in range(count)], t) for n, t in carried.items()})
    provenance = Provenance(PROVENANCE.fingerprint, "tiny", dim, "media")
    return rows_table(columns, vectors, others, row_schema(provenance, carried, kind))


def failure(path: str) -> pa.Table:
    row = {"path": path, "stage": "decode", "error": "MediaError", "message": "no", "attempts": 1}
    return errors_table([row])


@pytest.mark.parametrize("kind", ["float32", "float16", "list"])
def test_vectors_are_split_by_byte_without_a_dictionary(tmp_path: Path, kind: str) -> None:
    part = write_part(tmp_path, "part-0.parquet", table_of(300, kind), ERROR_SCHEMA.empty_table())
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
    part = write_part(tmp_path, "part-0.parquet", table, ERROR_SCHEMA.empty_table())
    metadata = pq.ParquetFile(part).metadata
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [25_000, 25_000, 10_000]


@pytest.mark.parametrize("kind", ["float32", "float16", "list"])
def test_what_was_written_is_read(tmp_path: Path, kind: str) -> None:
    table = table_of(50, kind)
    write_part(tmp_path, "part-0.parquet", table, ERROR_SCHEMA.empty_table())
    found = EmbeddingTable.open(tmp_path)
    assert found.rows.equals(table.drop_columns(["embedding"]))
    exact = np.stack([np.asarray(v, np.float32) for v in table["embedding"].to_pylist()])
    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, exact)
    assert found.provenance.fingerprint == PROVENANCE.fingerprint


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="abcé/", min_size=1, max_size=4),
            st.sampled_from(["audio", "image"]),
            st.integers(0, 30),
        ),
        unique=True,
        max_size=30,
    ),
    st.randoms(),
)
def test_rows_do_not_depend_on_the_order_they_came_in(rows: list, random) -> None:
    schema = row_schema(PROVENANCE, {})

    def table(given: list) -> pa.Table:
        columns = {
            "path": [r[0] for r in given],
            "modality": [r[1] for r in given],
            "segment_index": [r[2] for r in given],
        }
        columns |= {n: [r[2] for r in given] for n in ("start_s", "end_s", "size", "mtime_ns")}
        vectors = np.array([[hash(r) % 97] * 4 for r in given], np.float32).reshape(-1, 4)
        return rows_table(columns, vectors, pa.table({"_": pa.nulls(len(given))}), schema)

    shuffled = rows.copy()
    random.shuffle(shuffled)
    found = table(shuffled)
    assert found.equals(table(rows))
    keys = zip(*(found[n].to_pylist() for n in ("path", "modality", "segment_index")), strict=True)
    assert list(keys) == sorted(rows)
    assert len(set(found["id"].to_pylist())) == len(rows)


def test_ids_do_not_collide_at_the_seams() -> None:
    assert row_id("a", "image", None) != row_id("a", "image", 0)
    assert row_id("a1", "audio", 1) != row_id("a", "audio", 11)
    assert row_id("a", "image", None) == row_id("a", "image", None)
    assert len(row_id("", "", None)) == 32


ROWS = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.sampled_from(["audio", "image"]),
        st.none() | st.integers(0, 2**31 - 1),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(ROWS)
def test_ids_of_many_rows_are_the_hashes_of_what_names_each(rows: list) -> None:
    expected = []
    for path, modality, index in rows:
        key = path.encode() + b"\0" + modality.encode() + b"\0"
        key += b"" if index is None else str(index).encode()
        expected.append(hashlib.blake2b(key, digest_size=16).hexdigest())
    found = row_ids(*([row[i] for row in rows] for i in range(3)))
    found.validate(full=True)
    assert found.to_pylist() == expected == [row_id(*row) for row in rows]


@settings(deadline=None)
@given(ROWS, st.booleans(), st.sampled_from(["float32", "float16", "list"]))
def test_rows_in_any_order_are_those_of_a_plain_sort(rows: list, ordered: bool, kind: str) -> None:
    def key(place: int) -> tuple:
        return rows[place][0], rows[place][1], rows[place][2] or 0

    if ordered:
        rows = [rows[place] for place in sorted(range(len(rows)), key=key)]
    names = ("path", "modality", "segment_index")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    columns |= {n: list(range(len(rows))) for n in ("start_s", "end_s", "size", "mtime_ns")}
    vectors = np.arange(4 * len(rows), dtype=np.float32).reshape(-1, 4)
    carried = pa.table({"label": pa.array([f"{i}" for i in range(len(rows))], pa.string())})
    found = rows_table(columns, vectors, carried, row_schema(PROVENANCE, LABEL, kind))
    found.validate(full=True)
    order = sorted(range(len(rows)), key=key)
    expected = [
        dict(zip(names, rows[place], strict=True))
        | {"id": row_id(*rows[place]), "label": f"{place}", "embedding": vectors[place].tolist()}
        | dict.fromkeys(("start_s", "end_s", "size", "mtime_ns"), place)
        for place in order
    ]
    assert found.to_pylist() == expected


def test_vectors_that_come_in_order_are_not_copied() -> None:
    rest = {key: [None, None] for key in ("segment_index", "start_s", "end_s", "size", "mtime_ns")}
    vectors = np.ones((2, 4), np.float32)
    for paths, kept in ((["a", "b"], True), (["b", "a"], False)):
        columns = {"path": paths, "modality": ["image"] * 2, **rest}
        none = pa.table({"_": pa.nulls(2)})
        table = rows_table(columns, vectors, none, row_schema(PROVENANCE, {}))
        held = table["embedding"].chunk(0).values.to_numpy()
        assert np.shares_memory(held, vectors) == kept


def test_the_schema_says_what_made_it_and_what_its_features_are(tmp_path: Path) -> None:
    part = write_part(tmp_path, "part-0.parquet", table_of(3), ERROR_SCHEMA.empty_table())
    metadata = pq.read_schema(part).metadata
    assert json.loads(metadata[b"mmembed"])["fingerprint"] == "f" * 32
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features["embedding"] == {
        "feature": {"dtype": "float32", "_type": "Value"},
        "length": 4,
        "_type": "Sequence",
    }
    assert list(features) == pq.read_schema(part).names


def test_a_carried_column_may_not_take_a_name_of_the_contract() -> None:
    with pytest.raises(StoreError, match="column path of the source has the name of"):
        row_schema(PROVENANCE, {"path": pa.string()})


def test_errors_count_only_with_their_part(tmp_path: Path) -> None:
    write_part(tmp_path, "part-a.parquet", table_of(0), failure("b.wav"))
    (tmp_path / "_errors" / "part-lost.parquet").write_bytes(
        (tmp_path / "_errors" / "part-a.parquet").read_bytes()
    )
    assert read_errors(tmp_path)["path"].to_pylist() == ["b.wav"]
    (tmp_path / ".part-b.parquet.partial").write_bytes(b"half")
    (tmp_path / "_errors" / ".part-b.parquet.partial").write_bytes(b"half")
    remove_leftovers(tmp_path)
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["_errors/part-a.parquet", "part-a.parquet"]
    remove_part(tmp_path, "part-a.parquet")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_part_without_errors_has_no_errors_file(tmp_path: Path) -> None:
    write_part(tmp_path, "part-a.parquet", table_of(2), failure("b.wav"))
    write_part(tmp_path, "part-a.parquet", table_of(3), ERROR_SCHEMA.empty_table())
    assert len(read_errors(tmp_path)) == 0
    assert not list((tmp_path / "_errors").iterdir())


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(tmp_path, "part-a.parquet", table_of(2), ERROR_SCHEMA.empty_table())
    before = (tmp_path / "part-a.parquet").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match=r"part-a.parquet: can't be written: No space left"):
        write_part(tmp_path, "part-a.parquet", table_of(9), ERROR_SCHEMA.empty_table())
    assert [p.name for p in tmp_path.iterdir()] == ["part-a.parquet"]
    assert (tmp_path / "part-a.parquet").read_bytes() == before


def test_the_card_is_read_back_or_refused(tmp_path: Path) -> None:
    assert read_card_text(tmp_path) is None
    write_card(tmp_path, PROVENANCE.to_json())
    assert Provenance.from_json(read_card_text(tmp_path) or "", "x") == PROVENANCE
    (tmp_path / "_mmembed.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="its mmembed metadata can't be read"):
        read_card_text(tmp_path)


def test_many_can_write_the_card_at_once(tmp_path: Path) -> None:
    """As shards do that start together: each is whole, and none takes away another's file."""
    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write_card, tmp_path, PROVENANCE.to_json()) for _ in range(200)]
    assert [each.result() for each in written] == [None] * 200
    assert [path.name for path in tmp_path.iterdir()] == ["_mmembed.json"]


def test_other_tools_open_it_as_it_is(tmp_path: Path) -> None:
    table = table_of(20)
    part = write_part(tmp_path, "part-a.parquet", table, failure("b.wav"))
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(part)
    assert list(frame["path"]) == table["path"].to_pylist()
    assert np.stack(frame["embedding"]).shape == (20, 4)
    assert len(pandas.read_parquet(tmp_path)) == 20
    assert dataset(tmp_path).to_table().equals(table)


def test_polars_and_duckdb_open_it_as_it_is(tmp_path: Path) -> None:
    part = write_part(tmp_path, "part-a.parquet", table_of(20), ERROR_SCHEMA.empty_table())
    assert pytest.importorskip("polars").read_parquet(part)["embedding"].len() == 20
    query = f"SELECT count(*) FROM '{tmp_path}/part-*.parquet'"
    assert pytest.importorskip("duckdb").sql(query).fetchall() == [(20,)]
