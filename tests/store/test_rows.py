"""Rows: their order and ids do not depend on how they came in."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.store.rows import row_id, row_ids, rows_table
from mmembed.store.schema import NULL_IF_LEFT_OUT, row_schema
from tests.store.parts import LABEL, PROVENANCE


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
    sorted_rows = table(shuffled)
    assert sorted_rows.equals(table(rows))
    keys = zip(
        *(sorted_rows[n].to_pylist() for n in ("path", "modality", "segment_index")), strict=True
    )
    assert list(keys) == sorted(rows)
    assert len(set(sorted_rows["id"].to_pylist())) == len(rows)


def test_ids_do_not_collide_at_the_seams() -> None:
    assert row_id("a", "image", None) != row_id("a", "image", 0)
    assert row_id("a1", "audio", 1) != row_id("a", "audio", 11)
    assert row_id("a", "image", None) == row_id("a", "image", None)
    assert len(row_id("", "", None)) == 32
    assert row_id("a", "audio", 0, None, "t=1,2") != row_id("a", "audio", 0)
    assert row_id("a", "audio", 0, None, "t=1,2") != row_id("a", "audio", 0, None, "t=1,22")


def test_regions_of_a_file_stand_in_the_order_of_time_after_all_of_it() -> None:
    regions = ["t=10,11", "t=9,12", None, "t=9,12", "t=9,10"]
    segments = [0, 1, 0, 0, 0]
    columns = {"path": ["a"] * 5, "modality": ["audio"] * 5, "segment_index": segments}
    columns |= {n: [None] * 5 for n in ("start_s", "end_s", "size", "mtime_ns")}
    columns |= {"region": regions, "box": [None, None, [1.0, 2, 3, 4], None, None]}
    vectors, none = np.zeros((5, 4), np.float32), pa.table({"_": pa.nulls(5)})
    table = rows_table(columns, vectors, none, row_schema(PROVENANCE, {}))
    told = list(zip(table["region"].to_pylist(), table["segment_index"].to_pylist(), strict=True))
    expected = [(None, 0), ("t=9,10", 0), ("t=9,12", 0), ("t=9,12", 1), ("t=10,11", 0)]
    assert told == expected
    assert table["id"].to_pylist() == [row_id("a", "audio", i, None, name) for name, i in expected]
    assert table["box"].to_pylist() == [[1, 2, 3, 4], *[None] * 4]


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
    ids = row_ids(*([row[i] for row in rows] for i in range(3)))
    ids.validate(full=True)
    assert ids.to_pylist() == expected == [row_id(*row) for row in rows]


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
    made = rows_table(columns, vectors, carried, row_schema(PROVENANCE, LABEL, kind))
    made.validate(full=True)
    order = sorted(range(len(rows)), key=key)
    expected = [
        dict(zip(names, rows[place], strict=True))
        | {"field": rows[place][1]}
        | {"id": row_id(*rows[place]), "label": f"{place}", "embedding": vectors[place].tolist()}
        | dict.fromkeys(("start_s", "end_s", "size", "mtime_ns"), place)
        | dict.fromkeys(NULL_IF_LEFT_OUT)
        for place in order
    ]
    assert made.to_pylist() == expected


def test_vectors_that_come_in_order_are_not_copied() -> None:
    rest = {key: [None, None] for key in ("segment_index", "start_s", "end_s", "size", "mtime_ns")}
    vectors = np.ones((2, 4), np.float32)
    for paths, kept in ((["a", "b"], True), (["b", "a"], False)):
        columns = {"path": paths, "modality": ["image"] * 2, **rest}
        none = pa.table({"_": pa.nulls(2)})
        table = rows_table(columns, vectors, none, row_schema(PROVENANCE, {}))
        held = table["embedding"].chunk(0).values.to_numpy()
        assert np.shares_memory(held, vectors) == kept
