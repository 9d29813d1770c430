"""Compaction: fewer parts, the same rows, whatever interrupts it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mmembed.store.compact
import mmembed.store.dataset
from mmembed.cli.commands import main
from mmembed.errors import ConfigError, StoreError
from mmembed.jobs.compact import compact
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.lock import locked
from mmembed.store.part_file import VECTOR_LEAF, Footer, read_footer
from mmembed.store.provenance import Provenance
from mmembed.store.rows import rows_table
from mmembed.store.schema import ERROR_SCHEMA, row_schema, with_libraries
from mmembed.store.table import EmbeddingTable, read_errors
from tests.store.parts import NO_ERRORS, PROVENANCE, failure, table_of


def write_parts(folder: Path, count: int, rows: int = 10) -> list[dict[str, object]]:
    """Parts with rows of different paths, every third with an error."""
    for number in range(count):
        whole = table_of(rows)
        paths = [f"{number:02}/{path}" for path in whole["path"].to_pylist()]
        ids = [f"{number:02}-{i}" for i in whole["id"].to_pylist()]
        whole = whole.set_column(0, whole.schema.field("id"), pa.array(ids))
        whole = whole.set_column(1, whole.schema.field("path"), pa.array(paths))
        errors = ERROR_SCHEMA.empty_table() if number % 3 else failure(f"{number:02}/bad.wav")
        EmbeddingDataset(folder).commit(f"part-{number:02}.parquet", whole, errors)
    return contents(folder)


def contents(folder: Path) -> list[dict[str, object]]:
    rows = pa.concat_tables([pq.read_table(p) for p in folder.glob("part-*.parquet")])
    return sorted(rows.to_pylist(), key=lambda row: row["id"])


def test_rows_and_errors_stay_as_they_are(tmp_path: Path) -> None:
    before = write_parts(tmp_path, 12)
    schema = pq.read_schema(tmp_path / "part-00.parquet")
    summary = compact(tmp_path, part_rows=45)
    assert (summary.before, summary.after, summary.rows) == (12, 3, 120)
    parts = sorted(tmp_path.glob("part-*.parquet"))
    assert [pq.read_metadata(p).num_rows for p in parts] == [40, 40, 40]
    assert contents(tmp_path) == before
    assert all(pq.read_schema(p).equals(schema, check_metadata=True) for p in parts)
    failed = sorted(read_errors(tmp_path)["path"].to_pylist())
    assert failed == [f"{i:02}/bad.wav" for i in (0, 3, 6, 9)]
    assert len(list((tmp_path / "_errors").iterdir())) == 3
    assert not list(tmp_path.glob("_compaction*"))
    leaf = pq.read_metadata(parts[0]).row_group(0)
    columns = {leaf.column(i).path_in_schema: leaf.column(i) for i in range(leaf.num_columns)}
    assert "BYTE_STREAM_SPLIT" in columns[VECTOR_LEAF].encodings


def test_the_footer_of_each_part_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(tmp_path, 6)
    asked: list[str] = []

    def counted(part: Path) -> Footer:
        asked.append(part.name)
        return read_footer(part)

    monkeypatch.setattr(mmembed.store.dataset, "read_footer", counted)
    assert compact(tmp_path, part_rows=30).after == 2
    assert asked == [f"part-{number:02}.parquet" for number in range(6)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12, unique=True), st.integers(1, 100))
def test_parts_of_any_size_keep_every_row_and_become_no_larger_than_asked(
    sizes: list[int], part_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for size in sizes:
            whole = table_of(size)
            ids = pa.array([f"{size}-{i}" for i in range(size)])
            whole = whole.set_column(0, whole.schema.field("id"), ids)
            EmbeddingDataset.at(out).commit(
                f"part-{size:02}.parquet", whole, ERROR_SCHEMA.empty_table()
            )
        before = contents(out)
        summary = compact(out, part_rows=part_rows)
        assert contents(out) == before
        rows = [pq.read_metadata(part).num_rows for part in out.glob("part-*.parquet")]
        assert (summary.before, summary.after) == (len(sizes), len(rows))
        assert max(rows) <= max(part_rows, *sizes)
        assert sum(rows) == sum(sizes)
        assert summary.rows <= sum(sizes)
        again = compact(out, part_rows=part_rows)
        assert contents(out) == before
        assert again.after <= summary.after


def test_a_second_compaction_has_nothing_to_do(tmp_path: Path) -> None:
    write_parts(tmp_path, 6)
    compact(tmp_path, part_rows=1000)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob("part-*")}
    summary = compact(tmp_path, part_rows=1000)
    assert (summary.before, summary.after, summary.rows) == (1, 1, 0)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("part-*")} == times


@pytest.mark.parametrize("step", range(10))
def test_wherever_it_is_interrupted_no_row_is_lost_or_doubled(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write_parts(tmp_path, 4)
    left = step

    def counted(function):
        def call(*args: object) -> object:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return function(*args)

        return call

    for name in ("note_merge", "finish_merge", "remove"):
        monkeypatch.setattr(EmbeddingDataset, name, counted(getattr(EmbeddingDataset, name)))
    write = counted(mmembed.store.compact.write_whole)
    monkeypatch.setattr(mmembed.store.compact, "write_whole", write)
    with contextlib.suppress(KeyboardInterrupt):
        compact(tmp_path, part_rows=1000)
    monkeypatch.undo()
    table = EmbeddingTable.open(tmp_path)
    assert sorted(table.column("id")) == [row["id"] for row in before]
    assert len(read_errors(tmp_path)) == 2
    compact(tmp_path, part_rows=1000)
    assert contents(tmp_path) == before
    assert len(list(tmp_path.glob("part-*"))) == 1
    assert len(list(tmp_path.glob("_errors/*"))) == 1


def test_parts_of_different_spaces_are_refused(tmp_path: Path) -> None:
    write_parts(tmp_path, 2)
    other = Provenance("a" * 32, "other", 4, "media")
    strange = table_of(3).replace_schema_metadata(
        row_schema(other, {"label": pa.string()}).metadata
    )
    EmbeddingDataset(tmp_path).commit("part-zz.parquet", strange, ERROR_SCHEMA.empty_table())
    with pytest.raises(StoreError, match="their vectors can't be mixed"):
        compact(tmp_path)


def test_parts_with_other_columns_stay_apart(tmp_path: Path) -> None:
    write_parts(tmp_path, 4)
    table = table_of(5)
    columns = {name: table[name].to_pylist() for name in table.column_names if name != "embedding"}
    vectors = np.array(table["embedding"].to_pylist(), np.float32)
    none = pa.table({"_": range(5)}).select([])
    plain = rows_table(columns, vectors, none, row_schema(PROVENANCE, {}))
    EmbeddingDataset(tmp_path).commit("part-zz.parquet", plain, ERROR_SCHEMA.empty_table())
    summary = compact(tmp_path)
    assert (summary.before, summary.after) == (5, 2)
    assert len(EmbeddingTable.open(tmp_path)) == 45


def test_the_command_says_what_it_did_and_what_it_can_not_do(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_parts(tmp_path / "out", 3)
    assert main(["compact", str(tmp_path / "out")]) == 0
    assert "3 parts became 1; 30 rows moved" in capsys.readouterr().out
    assert main(["compact", str(tmp_path)]) == 2
    assert "no part-*.parquet in it" in capsys.readouterr().err
    with locked(tmp_path / "out", "1-of-2"), pytest.raises(StoreError, match="another run is"):
        compact(tmp_path / "out")
    with pytest.raises(ConfigError, match="^part_rows=0: must be positive$"):
        compact(tmp_path / "out", part_rows=0)
    for word in ("--part-rows", "--part_rows"):
        assert main(["compact", str(tmp_path / "out"), word, "0"]) == 2
        assert capsys.readouterr().err == "mmembed: error: --part-rows 0: must be positive\n"


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_what_is_no_dataset_is_left_alone(what: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if what == "a folder":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    elif what == "a file":
        out.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"no part-\*\.parquet in it. Run `mmembed embed` first"):
        compact(out)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_part_is_named_and_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(tmp_path, 3)
    part = tmp_path / "part-01.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:4] + bytes(600) + whole[604:])
    names = sorted(path.name for path in tmp_path.rglob("*.parquet"))
    with pytest.raises(StoreError, match=r"part-01.parquet: can't be read \("):
        compact(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("part-0*.parquet")) == names
    part.write_bytes(whole)
    groups = mmembed.store.compact.read_row_groups
    fewer = {"part-02.parquet": 7}

    def torn(path: Path) -> Iterator[pa.Table]:
        yield from (group.slice(0, fewer.get(path.name)) for group in groups(path))

    monkeypatch.setattr(mmembed.store.compact, "read_row_groups", torn)
    with pytest.raises(StoreError, match="part-02.parquet: has 7 rows, but says 10"):
        compact(tmp_path)
    other = pa.schema([("id", pa.int8())])
    torn_table = pa.table({"id": pa.array(["x"])})
    with pytest.raises(StoreError, match=r"part-02.parquet: can't be merged \("):
        mmembed.store.compact._as(other, torn_table, read_footer(tmp_path / "part-02.parquet"))
    monkeypatch.undo()
    assert len(EmbeddingTable.open(tmp_path)) == 30
    assert sorted(path.name for path in tmp_path.rglob("part-0*.parquet")) == names


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 30))
def test_parts_of_any_size_become_as_few_as_fit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], part_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    for number, count in enumerate(sizes):
        EmbeddingDataset(folder).commit(f"part-{number:02}.parquet", table_of(count), NO_ERRORS)
    before = sorted(pa.concat_tables(map(pq.read_table, folder.glob("part-*")))["id"].to_pylist())
    summary = compact(folder, part_rows=part_rows)
    expected, total = 1, sizes[0]
    for size in sizes[1:]:
        expected, total = (
            (expected, total + size)
            if total + size <= part_rows
            else (
                expected + 1,
                size,
            )
        )
    parts = list(folder.glob("part-*"))
    assert summary.after == len(parts) == expected
    rows = [pq.read_metadata(part).num_rows for part in parts]
    assert all(count <= max(part_rows, *sizes, 0) for count in rows)
    after = sorted(pa.concat_tables(map(pq.read_table, parts))["id"].to_pylist())
    assert after == before


def test_parts_decoded_by_other_versions_stay_apart_and_say_by_which(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    for number, version in enumerate(["11.0", "12.0", "11.0", "12.0", "12.0"]):
        rows = table_of(3)
        schema = with_libraries(rows.schema, {"Pillow": version})
        rows = rows.replace_schema_metadata(schema.metadata)
        dataset.commit(f"part-{number}.parquet", rows, NO_ERRORS)
    summary = compact(tmp_path)
    assert (summary.before, summary.after, summary.rows) == (5, 2, 15)
    made = {footer.provenance.libraries["Pillow"]: footer.rows for footer in dataset.footers()}
    assert made == {"11.0": 6, "12.0": 9}


def test_a_part_file_and_an_empty_folder_are_no_dataset_to_compact(tmp_path: Path) -> None:
    write_parts(tmp_path / "out", 2)
    for place in (tmp_path / "out/part-00.parquet", tmp_path):
        with pytest.raises(StoreError, match=r"no part-\*.parquet in it. Run `mmembed embed`"):
            compact(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]  # not even a lock
